import { describe, expect, test } from 'vitest';
import { statementsOf } from './sql-script.ts';

describe('a script of plain SQL', () => {
  test('is cut at its semicolons, but not at those in strings, names and comments', () => {
    const script = `
      -- One; two.
      create table a (x text default 'it''s; here'); /* three; four */
      comment on table a is 'a -- b';
      create table "b;c" (y int)
    `;
    expect(statementsOf(script)).toEqual([
      `create table a (x text default 'it''s; here')`,
      `comment on table a is 'a -- b'`,
      'create table "b;c" (y int)',
    ]);
  });

  test('of comments alone holds no statement', () => {
    expect(statementsOf('-- nothing;\n;\n')).toEqual([]);
  });

  test('keeps arithmetic, casts and parameters as they are', () => {
    expect(statementsOf('select 1 - 2 / 3, $1::text;')).toEqual(['select 1 - 2 / 3, $1::text']);
  });

  test('is refused with a dollar quote, whose semicolons end nothing', () => {
    expect(() => statementsOf('do $$ begin; end $$;')).toThrow('dollar quotes');
  });
});
