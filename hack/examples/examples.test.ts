import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { defaultedSpec } from '#resources/admission.ts';
import { kinds } from '#resources/kinds.ts';
import { parseManifest } from '#resources/manifest.ts';
import { createKindRegistry } from '#resources/registry.ts';

const folder = import.meta.dirname;
const registry = createKindRegistry(kinds);
const files = readdirSync(folder).filter((file) => file.endsWith('.yaml'));

describe('every example', () => {
  it.each(files)('%s is accepted as it stands', (file) => {
    const documents = parseAllDocuments(readFileSync(join(folder, file), 'utf8'));
    expect(documents.length).toBeGreaterThan(0);
    for (const document of documents) {
      const manifest = parseManifest(document.toJS(), registry, file);
      expect(defaultedSpec(manifest, undefined).spec).toHaveProperty('managementPolicy', 'Enforce');
    }
  });

  it('is there for every kind', () => {
    const shown = files.flatMap((file) => /kind: (\w+)/.exec(readFileSync(join(folder, file), 'utf8'))?.[1] ?? []);
    for (const kind of kinds) expect(shown).toContain(kind.name);
  });
});
