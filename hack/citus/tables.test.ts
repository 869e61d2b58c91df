import { globSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { statementsOf } from '#controller/store/sql-script.ts';
import { placements, tablesOf } from './tables.ts';

const statements = globSync('migrations/*.sql')
  .toSorted()
  .flatMap((file) => statementsOf(readFileSync(file, 'utf8')));

/** Policies that stay restrictive after some statements: created so, and not dropped later. */
function restrictive(some: readonly string[]): readonly string[] {
  const left = new Set<string>();
  for (const text of some) {
    const [, verb = '', name = '', rest = ''] =
      /^(create|drop) policy (?:if exists )?(\w+ on \w+)(.*)$/s.exec(text) ?? [];
    if (verb === 'create' && /\bas restrictive\b/.test(rest)) left.add(name);
    if (verb === 'drop') left.delete(name);
  }
  return [...left];
}

/** Constraints added beside another change of the same ALTER TABLE. */
const crowded = (some: readonly string[]): readonly string[] =>
  some.filter(
    (text) =>
      /^alter table\b/.test(text) && /\badd constraint\b/.test(text) && /,\s*(add|drop|alter|validate)\b/.test(text),
  );

/** Tables as migrations/ leave them, each with the column its primary key starts with. */
function migrated(): ReadonlyMap<string, string | null> {
  const tables = new Map<string, string | null>();
  for (const file of globSync('migrations/*.sql').toSorted()) {
    const text = readFileSync(file, 'utf8').replaceAll(/--[^\n]*/g, '');
    for (const [, name = '', body = ''] of text.matchAll(/\bcreate table (?:if not exists )?(\w+) \((.*?)\n\)/gs)) {
      const key = /primary key \((\w+)/.exec(body)?.[1] ?? /^\s*(\w+)[^,]*\bprimary key/m.exec(body)?.[1];
      tables.set(name, key ?? null);
    }
    for (const [, name = ''] of text.matchAll(/\bdrop table (?:if exists )?(\w+)/g)) tables.delete(name);
  }
  return tables;
}

describe('the placement of tables on a cluster', () => {
  test('names each table of the migrations once, and migrate’s own', () => {
    expect(Object.keys(placements).toSorted()).toEqual([...migrated().keys(), 'schema_migrations'].toSorted());
  });

  test('distributes exactly those whose primary key starts with shard', () => {
    const sharded = [...migrated()].filter(([, key]) => key === 'shard').map(([name]) => name);
    expect(tablesOf('distributed').toSorted()).toEqual(sharded.toSorted());
  });

  test('puts the target of a foreign key before the tables that point at it', () => {
    const order = tablesOf('distributed');
    expect(order.slice(0, 2)).toEqual(['shards', 'resources']);
  });
});

describe('the migrations', () => {
  test('leave no restrictive policy: on the shards it would be permissive', () => {
    expect(restrictive(statements)).toEqual([]);
    const wall = 'create policy p on t as restrictive for insert to vibn_api with check (true)';
    expect(restrictive([wall])).toEqual(['p on t']);
    expect(restrictive([wall, 'drop policy p on t'])).toEqual([]);
  });

  test('add a constraint in a statement of its own: beside another change it is refused', () => {
    expect(crowded(statements)).toEqual([]);
    expect(crowded(["alter table t add column a text, add constraint c check (a <> '')"])).toHaveLength(1);
    expect(crowded(["alter table t add constraint c check (a <> '' and b > 0)"])).toEqual([]);
  });
});
