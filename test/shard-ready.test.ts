import { globSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Statement } from '#controller/store/statement.ts';

// Law 8: every hot statement carries the shard and touches one shard; what does not is named here, with its reason. The same code then
// runs on one Postgres or on a Citus cluster.

const files = globSync('controller/store/{engine,queries}/*.ts');

type AnyStatement = Statement<never, unknown>;

interface Found {
  readonly file: string;
  readonly exported: string;
  readonly name: string;
  /** SQL without comments and string literals. */
  readonly sql: string;
}

const isStatement = (value: unknown): value is AnyStatement => typeof value === 'function' && 'statement' in value;
const bare = (text: string): string => text.replaceAll(/\/\*.*?\*\//gs, '').replaceAll(/'[^']*'/g, "''");

const found: Found[] = [];
for (const file of files) {
  const module = (await import(path.resolve(file))) as Record<string, unknown>;
  for (const [exported, value] of Object.entries(module)) {
    if (!isStatement(value)) continue;
    found.push({ file, exported, name: value.statement.name, sql: bare(value.statement.text) });
  }
}

/** Tables of one shard each: their primary keys begin with it (migrations/). */
const sharded = [
  'shards',
  'resources',
  'work',
  'topics',
  'listeners',
  'tombstones',
  'requests',
  'revisions',
  'passes',
  'intents',
  'decisions',
  'plans',
  'operations',
  'replay_items',
  'audit_log',
  'secrets',
  'quotas',
  'approvals',
  'ledger_entries',
];

/** Reads over all shards. None of them writes, and none of them is part of a pass. */
const acrossShards: Record<string, string> = {
  due_shards: 'the poll of an idle worker: one index probe a shard',
  next_due: 'how long an idle worker may sleep: one index probe a shard',
  draining_shards: 'an engine task, over a partial index that is mostly empty',
  listening_shards: 'where a probe of an open breaker may look: one index probe a shard',
  count_materialized: 'the base of a brake, asked only before a re-create',
  replay_read: 'the counts of a replay, for people',
  replay_next: 'what a replay asks next, in an order over all shards, by an index',
  replay_open_shards: 'where a replay has asked items, by an index',
  replay_finish: 'whether a replay has anything left, by an index',
  list_everywhere: 'a list of all workspaces, for platform keys',
  list_unknowns: 'open unknowns of all workspaces, for platform keys',
};

const touched = (sql: string): string[] =>
  sharded.filter((table) => new RegExp(`\\b(from|join|update|into|using|,)\\s+${table}\\b`).test(sql));

describe('the statements', () => {
  test('are found, and each has one name in its file, its function and its SQL', () => {
    expect(found.length).toBeGreaterThan(70);
    const kebab = (name: string): string => name.replaceAll('_', '-');
    const camel = (name: string): string => name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
    for (const { file, exported, name } of found) {
      expect([path.basename(file, '.ts'), exported]).toEqual([kebab(name), camel(name)]);
    }
    expect(new Set(found.map((one) => one.name)).size).toBe(found.length);
  });

  const ofOneShard = found.filter(({ name, sql }) => acrossShards[name] === undefined && touched(sql).length > 0);

  test.for(ofOneShard.map((one) => [one.name, one] as const))('%s touches the one shard it is given', ([, { sql }]) => {
    expect(sql).toMatch(/\bshard = (\$1::smallint|\d+)|\$1::smallint, /);
    expect(untied(sql)).toEqual([]);
  });

  test('that read all shards are those listed, and they only read', () => {
    const names = new Set(found.map((one) => one.name));
    expect(Object.keys(acrossShards).filter((name) => !names.has(name))).toEqual([]);
    const writing = found.filter(({ name, sql }) => acrossShards[name] !== undefined && writesSharded(sql));
    expect(writing.map((one) => one.name)).toEqual([]);
  });

  test('use no clock but statement_timestamp(), and nothing volatile', () => {
    const volatile =
      /\b(clock_timestamp|now|current_timestamp|localtimestamp|transaction_timestamp|timeofday|random|gen_random_uuid|nextval|setval|uuid_generate_v\d|pg_sleep|txid_current|pg_notify)\b/;
    const users = found.filter(({ sql }) => volatile.test(sql.replaceAll(/\bas now\b/g, '')));
    expect(users.map((one) => one.name)).toEqual([]);
  });

  test('contain no DDL, no LISTEN and no NOTIFY: the writer signals after its commit', () => {
    const banned = /\b(create|alter|drop|truncate|listen|notify|lock table|vacuum|analyze)\b/;
    expect(found.filter(({ sql }) => banned.test(sql)).map((one) => one.name)).toEqual([]);
  });
});

/** Uses of sharded tables that are tied to no shard, neither directly nor by joining on the shard of another. */
function untied(sql: string): string[] {
  const use = new RegExp(`\\b(?:from|join|update|using)\\s+(${sharded.join('|')})\\s+(?:as\\s+)?(\\w+)`, 'g');
  return [...sql.matchAll(use)].flatMap(([, table = '', word = '']) => {
    const alias = /^(set|where|on|order|using|limit|left|join|cross|group)$/.test(word) ? table : word;
    const tie = new RegExp(
      `\\b${alias}\\.shard = |= ${alias}\\.shard\\b|using \\(shard${alias === table ? '|[^.\\w]shard = ' : ''}`,
    );
    return tie.test(sql) ? [] : [`${table} ${alias}`];
  });
}

function writesSharded(sql: string): boolean {
  return new RegExp(`\\b(update|insert into|delete from)\\s+(${sharded.join('|')})\\b`).test(sql);
}

describe('the check', () => {
  test('sees a use that forgets its shard', () => {
    const one = 'update work w set due_at = statement_timestamp() where w.uid = $2::text';
    const joined = 'select from work w join resources r on r.uid = w.uid where w.shard = $1::smallint';
    expect([untied(one), untied(joined)]).toEqual([['work w'], ['resources r']]);
  });
});
