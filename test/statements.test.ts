import { globSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { StatementText } from '#controller/store/statement.ts';

/**
 * Shard-ready SQL, seen in the text of every statement (architecture, laws 8 and 12): one statement a file and a name, nothing that
 * Citus refuses, and one shard each. EXPLAIN of the hot ones is in test/database/explain.test.ts.
 */
const files = globSync('controller/store/{queries,engine}/*.ts').filter((file) => !file.endsWith('.test.ts'));

interface Found {
  readonly file: string;
  readonly exported: string;
  readonly statement: StatementText;
}
const found: Found[] = [];

beforeAll(async () => {
  for (const file of files) {
    const module = (await import(path.resolve(file))) as Record<string, unknown>;
    for (const [exported, value] of Object.entries(module)) {
      if (typeof value === 'function' && 'statement' in value) {
        found.push({ file, exported, statement: value.statement as StatementText });
      }
    }
  }
});

/** Tables whose primary key starts with shard: a statement that names one must say which shard. */
const tenantTables =
  /\b(shards|resources|work|topics|listeners|revisions|passes|intents|decisions|plans|operations|tombstones|requests|audit_log|secrets|quotas|approvals|replay_items)\b/;

/** Statements that ask all shards, each at most about once a second or for a platform key, and why. */
const crossShard: Readonly<Record<string, string>> = {
  due_shards: 'the poll of idle workers',
  draining_shards: 'the engine task that drains topics',
  listening_shards: 'where a topic that spans shards has listeners',
  count_materialized: 'the base of the 1 % brake',
  list_everywhere: 'lists of platform keys',
  ping: 'names shard 0',
  replay_read: 'counts of a replay',
  replay_next: 'the order of a replay spans shards',
  replay_open_shards: 'where a replay has items',
  replay_finish: 'what is left of a replay',
};

const words = (text: string): string => text.replaceAll(/\/\*.*?\*\/|--.*$/gms, '').toLowerCase();

describe('every statement', () => {
  test('is found: at least one in nearly every file', () => {
    expect(found.length).toBeGreaterThan(60);
  });

  test('has a file, a function and a name of the same words, and no name is used twice', () => {
    const kebab = (text: string): string =>
      text.replaceAll('_', '-').replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    const odd = found.filter(({ file, exported, statement }) => {
      const name = path.basename(file, '.ts');
      return kebab(exported) !== name || kebab(statement.name) !== name;
    });
    expect(odd.map(({ file, exported, statement }) => `${file} ${exported} ${statement.name}`)).toEqual([]);
    expect(new Set(found.map(({ statement }) => statement.name)).size).toBe(found.length);
  });

  test('uses no function that Citus refuses in a write, and time only as statement_timestamp()', () => {
    const banned =
      /\b(clock_timestamp|transaction_timestamp|timeofday|now|random|gen_random_uuid|nextval|currval|setval|pg_notify|set_config)\s*\(|\bcurrent_(timestamp|date|time)\b|\blocaltime/;
    expect(found.filter(({ statement }) => banned.test(words(statement.text))).map((one) => one.file)).toEqual([]);
  });

  test('that touches a tenant table says which shard, but for those known to ask all', () => {
    const loose = found.filter(({ statement }) => {
      const text = words(statement.text);
      return tenantTables.test(text) && !/shard = \$\d|\$\d+::smallint/.test(text);
    });
    expect(loose.map(({ statement }) => statement.name).toSorted()).toEqual(Object.keys(crossShard).toSorted());
  });
});
