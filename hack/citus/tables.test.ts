import { globSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { placements, tablesOf } from './tables.ts';

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
