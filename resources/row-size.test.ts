import { expect, test } from 'vitest';
import { ApiError } from './errors.ts';
import { parseManifest } from './manifest.ts';
import type { Manifest } from './manifest.ts';
import { refuseLargeRow, rowBytesMax } from './row-size.ts';
import { testKinds } from './testing.ts';

const manifest = (annotations: Readonly<Record<string, string>>): Manifest =>
  parseManifest(
    { apiVersion: 'vibn.dev/v1', kind: 'Note', metadata: { workspace: 'acme', name: 'one', annotations }, spec: {} },
    testKinds,
    'manifest',
  );

/** What stands around one text in a row without anything else. */
const frame = '[{"text":""},{},{}]'.length;

test('a row may be as large as the limit, in bytes of UTF-8, and no larger', () => {
  const text = 'é'.repeat((rowBytesMax - frame - 1) / 2);
  refuseLargeRow(manifest({}), { text: `${text}x` });
  expect(() => refuseLargeRow(manifest({}), { text: `${text}xx` })).toThrow(ApiError);
});

test('annotations count, and the refusal names the limit', () => {
  const large = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`a${index}`, 'x'.repeat(4_000)]));
  expect(() => refuseLargeRow(manifest(large), {})).toThrow(
    expect.objectContaining({
      data: expect.objectContaining({ code: 'VALIDATION', path: 'manifest', allowed: { maxBytes: rowBytesMax } }),
    }),
  );
});
