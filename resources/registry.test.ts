import { describe, expect, test } from 'vitest';
import { firesOfChange } from './changes.ts';
import { digest } from './digest.ts';
import { defineKind } from './kind.ts';
import { classOf, engineReasons } from './reasons.ts';
import { createKindRegistry } from './registry.ts';
import { shardCount, shardOf } from './shard.ts';
import { makeRow, testKinds } from './testing.ts';
import { quoted, safeJson, safeText } from './text.ts';

describe('the registry of kinds', () => {
  test('ranks each kind above all it needs', () => {
    expect(testKinds.ranks).toEqual({ Workspace: 0, Note: 1, Letter: 1 });
    expect(testKinds.unrelatedTo('Workspace')).toEqual(['Workspace']);
    expect(testKinds.unrelatedTo('Note')).toEqual(['Workspace', 'Letter']);
  });

  test('refuses kinds that need each other in a circle, and two of one name', () => {
    const kind = (name: string, needsKinds: string[]) =>
      defineKind({ name, plural: name, area: 'x', spec: {}, status: {}, conditions: [], needsKinds });
    expect(() => createKindRegistry([kind('A', ['B']), kind('B', ['A'])])).toThrow('A → B → A');
    expect(() => createKindRegistry([kind('A', []), kind('A', [])])).toThrow('same name');
  });
});

describe('shards', () => {
  test('never move: these workspaces have been stored under these numbers', () => {
    expect(['acme', 'globex', 'initech', '-'].map(shardOf)).toEqual([47, 14, 33, 56]);
    expect(shardOf('acme')).toBe(fnv('acme'));
  });

  test('spread slugs evenly', () => {
    const counts = Array.from({ length: shardCount }, () => 0);
    for (let index = 0; index < 6400; index += 1) counts[shardOf(`tenant${index}`)]! += 1;
    expect(Math.min(...counts)).toBeGreaterThan(50);
    expect(Math.max(...counts)).toBeLessThan(160);
  });
});

/** FNV-1a written the slow way, with bigints. */
function fnv(text: string): number {
  let hash = 0x811c9dc5n;
  for (const char of text) hash = ((hash ^ BigInt(char.charCodeAt(0))) * 0x01000193n) & 0xffffffffn;
  return Number(hash % 64n);
}

describe('the topics of a change', () => {
  const note = testKinds.get('Note')!;
  const row = makeRow({ spec: { after: 'two' }, ownerUid: 'papa', slot: 's' });

  test('fire ref, refers and list when a row comes or goes', () => {
    expect(firesOfChange(note, null, row)).toEqual(['list:Note/papa', 'ref:Note/acme/one', 'refers:Note/acme/two']);
    expect(firesOfChange(note, row, null)).toEqual([
      'list:Note/papa',
      'ref:Note/acme/one',
      'refers:Note/acme/two',
      'refers:Workspace/acme/acme',
    ]);
  });

  test('do not fire ref for a spec edit, and nothing at all for status text', () => {
    expect(firesOfChange(note, row, { ...row, generation: 2 })).toEqual(['list:Note/papa', 'refers:Note/acme/two']);
    expect(firesOfChange(note, row, { ...row, status: { seen: 1 } })).toEqual([]);
  });

  test('fire ref when the stored Ready or the outputs change', () => {
    expect(firesOfChange(note, row, { ...row, outputsDigest: 'x' })).toContain('ref:Note/acme/one');
    const ready = { ...row, conditions: [{ type: 'Ready', status: 'True' } as never] };
    expect(firesOfChange(note, row, ready)).toContain('ref:Note/acme/one');
  });
});

describe('text that crosses a door', () => {
  test('is well-formed, without NUL, and cut on a code point', () => {
    expect(safeText('a\u0000b\ud800', 10)).toBe('a\uFFFDb\uFFFD');
    expect(safeText('😀😀😀', 2)).toBe('😀😀');
    expect(safeJson({ 'k\u0000': ['\ud800', 1, null] })).toEqual({ 'k\uFFFD': ['\uFFFD', 1, null] });
    expect(quoted('two\nlines')).toBe('"two lines"');
  });
});

describe('digests and reasons', () => {
  test('equal values have equal digests, whatever the order of keys', () => {
    expect(digest({ a: 1, b: { c: 2, d: 3 } })).toBe(digest({ b: { d: 3, c: 2 }, a: 1 }));
    expect(digest({ a: 1 })).not.toBe(digest({ a: 2 }));
  });

  test('each reason has exactly one class; an unregistered one is internal, so that it is noticed', () => {
    expect(new Set(engineReasons.map((entry) => entry.reason)).size).toBe(engineReasons.length);
    expect(classOf('NeedsDecision')).toBe('unknown');
    expect(classOf('Invented')).toBe('internal');
  });
});
