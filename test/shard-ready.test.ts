import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { acrossShards, allStatements } from '#test/support/all-statements.ts';
import { bare, isSharded, oneShardRules, writeRules, writesSharded, type Rule } from '#test/support/shard-rules.ts';

// Law 8: every hot statement carries the shard and touches one shard; what does not is named here, with its reason. The same code then
// runs on one Postgres or on a Citus cluster. The rules were learnt on a real one (hack/citus/README.md), which CI has not.

const found = (await allStatements()).map((one) => ({ ...one, sql: bare(one.text) }));

/** Other files of the product that hold SQL, and what it does there. */
const elsewhere: Record<string, string> = {
  'controller/store/migrate.ts': 'DDL, as the owner',
  'controller/store/roles.ts': 'logins, as the owner',
  'controller/store/signals.ts': 'LISTEN and NOTIFY, on the coordinator',
  'controller/store/sql.ts': 'what became of a transaction',
  'controller/store/statement.ts': 'what a statement is',
  'controller/store/sql-transaction.ts': 'BEGIN, SET LOCAL, COMMIT, the id of a transaction',
};

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

  test('are all the SQL there is, but for what needs no shard', () => {
    const files = globSync('{api,controller,reconcilers,resources}/**/*.ts', {
      exclude: (name) => name.endsWith('.test.ts'),
    });
    const sql = /\bstatement(<[^>]*>)?\(\{|\.unsafe(<[^>]*>)?\(|\b(sql|tx)(<.*>)?`/;
    const holding = files.filter(
      (file) => !found.some((one) => one.file === file) && sql.test(readFileSync(file, 'utf8')),
    );
    expect(holding.toSorted()).toEqual(Object.keys(elsewhere).toSorted());
  });

  const ofOneShard = found.filter(({ name, sql }) => acrossShards[name] === undefined && isSharded(sql));

  describe.for(oneShardRules.map((rule) => [rule.title, rule] as const))('of one shard: %s', ([, rule]) => {
    test.for(ofOneShard.map((one) => [one.name, one.sql] as const))('%s', ([, sql]) => {
      expect(rule.offences(sql)).toEqual([]);
    });
  });

  test.for(writeRules.map((rule) => [rule.title, rule] as const))('%s', ([, rule]) => {
    const offending = found.flatMap(({ name, sql }) => rule.offences(sql).map((piece) => `${name}: ${piece}`));
    expect(offending).toEqual([]);
  });

  test('that read all shards are those listed, and they write none', () => {
    const names = new Set(found.map((one) => one.name));
    expect(Object.keys(acrossShards).filter((name) => !names.has(name))).toEqual([]);
    const writing = found.filter(({ name, sql }) => acrossShards[name] !== undefined && writesSharded(sql));
    expect(writing.map((one) => one.name)).toEqual([]);
  });

  test('use no clock but statement_timestamp(), and nothing volatile', () => {
    const volatile =
      /\b(clock_timestamp|now|current_timestamp|localtimestamp|transaction_timestamp|timeofday|random|gen_random_uuid|nextval|setval|uuid_generate_v\d|pg_sleep|txid_current|pg_notify)\b/;
    const users = found.filter(({ sql }) => volatile.test(sql.replaceAll(/\bas now\b|\b\w\.now\b/g, '')));
    expect(users.map((one) => one.name)).toEqual([]);
  });

  test('contain no DDL, no LISTEN and no NOTIFY: the writer signals after its commit', () => {
    const banned = /\b(create|alter|drop|truncate|listen|notify|lock table|vacuum|analyze)\b/;
    expect(found.filter(({ sql }) => banned.test(sql)).map((one) => one.name)).toEqual([]);
  });
});

/** For each rule, what a real cluster refused or asked all shards for, and the same wish in a form that it takes. */
const examples: Record<string, readonly (readonly [loses: string, holds: string])[]> = {
  'each use of a table names the shard itself': [
    [
      'update work w set epoch = 1 where w.uid = $2::text',
      'update work w set epoch = 1 where w.shard = $1::smallint and w.uid = $2::text',
    ],
    [
      'select 1 from shards s left join resources r on r.shard = s.shard where s.shard = $1::smallint',
      'select 1 from shards s left join resources r on r.shard = $1::smallint where s.shard = $1::smallint',
    ],
    [
      'select (select 1 from intents i where i.shard = r.shard) from resources r where r.shard = $1::smallint',
      'select (select 1 from intents i where i.shard = $1::smallint) from resources r where r.shard = $1::smallint',
    ],
  ],
  'an INSERT takes the shard from the first parameter': [
    [
      'insert into requests (shard, at) select s, statement_timestamp() from unnest($1::int2[]) s returning 1',
      'insert into requests (shard, at) select $1::smallint, statement_timestamp() returning 1',
    ],
  ],
  'an UPDATE or DELETE has no clock in a CASE or COALESCE': [
    [
      'update resources set finalizing_at = coalesce(finalizing_at, statement_timestamp()) where shard = $1::smallint',
      'update resources set finalizing_at = coalesce(finalizing_at, t.now) from (select statement_timestamp() as now) t where shard = $1::smallint',
    ],
    [
      'with a as (update providers p set opened_at = case when p.failures > 3 then statement_timestamp() end) select 1',
      'with a as (update providers p set opened_at = statement_timestamp() where p.failures > 3) select 1',
    ],
  ],
  'an UPDATE or DELETE does not reckon time with a column': [
    [
      "update work w set due_at = statement_timestamp() + s.ms * interval '1 ms' from s where w.shard = $1::smallint",
      'update work w set due_at = s.due_at from s where w.shard = $1::smallint',
    ],
    [
      "update topics t set spread_at = n.at + $2::int * n.row_ms * interval '1 ms' from n where t.shard = $1::smallint",
      'update topics t set spread_at = n.spread_at from n where t.shard = $1::smallint',
    ],
    [
      "delete from plans where shard = $1::smallint and expires_at - interval '1 day' < statement_timestamp()",
      "delete from plans where shard = $1::smallint and expires_at < statement_timestamp() - $2::bigint * interval '1 ms'",
    ],
  ],
  'neither RETURNING nor DO UPDATE has a clock': [
    [
      'update work set epoch = 1 where shard = $1::smallint returning statement_timestamp() as now',
      'update work set epoch = 1, claimed_at = statement_timestamp() where shard = $1::smallint returning claimed_at',
    ],
    [
      'insert into providers (provider) values ($1::text) on conflict (provider) do update set blocked_until = statement_timestamp()',
      'insert into providers (provider) values ($1::text) on conflict (provider) do update set blocked_until = excluded.blocked_until',
    ],
  ],
  'an INSERT behind WITH is a CTE itself': [
    [
      'with a as (select 1) insert into audit_log (shard) select $1::smallint from a returning 1',
      'with a as (select 1), b as (insert into audit_log (shard) select $1::smallint from a returning 1) select 1 from b',
    ],
  ],
  'an INSERT from a SELECT returns something, or says what a conflict does': [
    [
      'insert into revisions (shard) select $1::smallint from unnest($2::text[])',
      'insert into revisions (shard) select $1::smallint from unnest($2::text[]) returning 1',
    ],
  ],
};

describe('each rule', () => {
  const rules = new Map<string, Rule>([...oneShardRules, ...writeRules].map((rule) => [rule.title, rule]));

  test('has an example', () => {
    expect(Object.keys(examples).toSorted()).toEqual([...rules.keys()].toSorted());
  });

  const pairs = Object.entries(examples).flatMap(([title, some]) => some.map((pair) => [title, ...pair] as const));
  test.for(pairs)('%s: %s', ([title, loses, holds]) => {
    expect(rules.get(title)?.offences(bare(loses))).not.toEqual([]);
    expect(rules.get(title)?.offences(bare(holds))).toEqual([]);
  });
});
