import { describe, expect, test } from 'vitest';
import { canonicalJson, sameJson } from './json.ts';
import { safeJson } from './text.ts';

/** Small values, alike enough that every pair below differs in one thing only or in none. */
const values: readonly unknown[] = [
  null,
  0,
  1,
  '',
  '1',
  true,
  false,
  [],
  [1],
  [1, 2],
  [2, 1],
  [[1]],
  {},
  { 0: 1 },
  { a: 1 },
  { a: '1' },
  { a: null },
  { a: undefined },
  { b: 1 },
  { a: 1, b: 2 },
  { b: 2, a: 1 },
  { a: 1, b: undefined },
  { a: { b: [1, { c: null }] } },
  { a: { b: [1, { c: 0 }] } },
  { length: 0 },
  { toString: 1 },
  JSON.parse('{"__proto__":1}'),
  JSON.parse('{"__proto__":{}}'),
];

describe('two JSON values', () => {
  test('are the same just when their canonical texts are', () => {
    const wrong = values.flatMap((a) =>
      values.filter(
        (b) => sameJson(structuredClone(a), structuredClone(b)) !== (canonicalJson(a) === canonicalJson(b)),
      ),
    );
    expect(wrong).toEqual([]);
  });
});

describe('JSON made safe', () => {
  test('is the same value if nothing had to be done, and a new one if a string, however deep, was not safe', () => {
    for (const value of values) expect(safeJson(value)).toBe(value);
    const deep = { a: [{ b: 'x\u0000' }] };
    expect(safeJson(deep)).toEqual({ a: [{ b: 'x\uFFFD' }] });
    expect(safeJson({ a: '😀😀' }, 3)).toEqual({ a: '😀😀' });
    expect(safeJson({ a: '😀😀' }, 1)).toEqual({ a: '😀' });
  });
});
