import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AdminStore } from '#controller/store/admin-store.ts';
import type { ResourceStore } from '#controller/store/resource-store.ts';
import { createSqlAdminStore } from '#controller/store/sql-admin-store.ts';
import { createSqlResourceStore } from '#controller/store/sql-resource-store.ts';
import type { Tx } from '#controller/store/sql-transaction.ts';
import type { Sql } from '#controller/store/sql.ts';
import type { Runner } from '#controller/store/statement.ts';
import { shardOf } from '#resources/shard.ts';
import { createDatabase, type TestDatabase } from '#test/support/postgres.ts';

/**
 * The mutant of reliability.md: each statement of the API without its filter by workspace. Behind row-level security still nothing of
 * another workspace is seen; without it (the control) the same mutant leaks.
 */
const mine = 'acme';
/** In the same shard, or the shard would filter. */
const theirs =
  Array.from({ length: 1_000 }, (_, n) => `beta${n}`).find((slug) => shardOf(slug) === shardOf(mine)) ?? '';
const shard = shardOf(mine);

const filter = /\b(?:\w+\.)?workspace (?:=|is not distinct from) (\$\d+::text)\b/g;
const mutated = new Set<string>();

function mutantOf<R extends Runner>(runner: R): R {
  const run: Runner['run'] = (query, params) => {
    const text = query.text.replaceAll(filter, '($1 is null or true)');
    if (text !== query.text) mutated.add(query.name);
    return runner.run({ ...query, text }, params);
  };
  return { ...runner, run };
}

function mutantPool(sql: Sql): Sql {
  const transaction: Sql['transaction'] = (name, body, options) =>
    sql.transaction(name, (tx: Tx) => body(mutantOf(tx)), options);
  return { ...mutantOf(sql), transaction };
}

let db: TestDatabase;
beforeAll(async () => {
  db = await createDatabase();
  for (const workspace of [mine, theirs]) await fill(workspace);
});
afterAll(() => db[Symbol.asyncDispose]());

async function fill(workspace: string): Promise<void> {
  const [at, uid] = ['statement_timestamp()', `uid-${workspace}`];
  const head = `${shard}, '${uid}'`;
  const inserts = [
    `resources (shard, uid, workspace, kind, name, generation, version, spec, created_by, created_at, updated_at)
      values (${head}, '${workspace}', 'Bucket', 'of-${workspace}', 1, ${workspace === mine ? 1 : 2}, '{}', '{}', ${at}, ${at})`,
    `work (shard, uid, workspace, kind, due_at, priority) values (${head}, '${workspace}', 'Bucket', ${at}, 'user')`,
    `revisions (shard, uid, generation, workspace, spec, by, at) values (${head}, 1, '${workspace}', '{}', '{}', ${at})`,
    `passes values (${head}, 1, '${workspace}', 1, 't', null, 'd', null, 'd', '[]', 'o', 1, null, ${at})`,
    `intents (shard, uid, effect, attempt, workspace, nonce, state, args, announced_at, sent_at, give_up_at)
      values (${head}, 'create', 1, '${workspace}', 'n-${workspace}', 'unknown', '{}', ${at}, ${at}, ${at})`,
    `operations (shard, uid, key, workspace, op, input, state, created_at, updated_at)
      values (${head}, 'k', '${workspace}', 'start', '{}', 'waiting', ${at}, ${at})`,
    `tombstones values (${shard}, ${workspace === mine ? 3 : 4}, 'gone-${workspace}', '${workspace}', 'Bucket', 'gone', '{}', ${at})`,
    `requests values (${shard}, '${workspace}', 'l', 'r-${workspace}', 'd', '[]', ${at})`,
    `api_keys (id, secret_hash, name, workspace, class, scopes, lineage, created_at)
      values ('key-${workspace}', 'h', 'n', '${workspace}', 'agent', '{}', 'l', ${at})`,
  ];
  for (const text of inserts) await db.owner.unsafe(`insert into ${text}`);
}

interface Reads {
  readonly resources: ResourceStore;
  readonly admin: AdminStore;
}

/** Everything that the API reads for a key of `mine`, asked about `mine`, and about their things as far as an input can name them. */
function reads({ resources, admin }: Reads): readonly (() => Promise<unknown>)[] {
  const scope = { workspace: mine };
  const uid = `uid-${theirs}`;
  return [
    () => resources.list(scope, { workspace: mine, limit: 100 }),
    () => resources.countRows(scope, mine).then((rows) => (rows === 1 ? [] : [theirs])),
    () => resources.get(scope, { workspace: mine, kind: 'Bucket', name: `of-${theirs}` }),
    () => resources.getByUid(scope, mine, [uid]),
    () => resources.bareByUid(scope, mine, [uid]),
    () => resources.bareByKeys(scope, mine, [{ workspace: mine, kind: 'Bucket', name: `of-${theirs}` }]),
    () => resources.changes(scope, { workspace: mine, afterVersion: 0, limit: 100 }),
    () => resources.changes(scope, { workspace: mine, afterVersion: 0, limit: 100, bare: true }),
    () => resources.revisions(scope, { workspace: mine, uid, limit: 10 }).then((found) => found.map(() => theirs)),
    () => resources.passes(scope, { workspace: mine, uid, limit: 10 }).then((found) => found.map(() => theirs)),
    () => resources.children(scope, { workspace: mine, uid }),
    () => resources.unknowns(scope, { workspace: mine, limit: 10 }),
    () => admin.listKeys(scope, { workspace: mine, limit: 10 }),
    () => admin.listOperations(scope, { workspace: mine, limit: 10 }),
    () => admin.getOperation(scope, { workspace: mine, uid, key: 'k' }),
    () => admin.findRequest(scope, { workspace: mine, lineage: 'l', requestId: `r-${theirs}` }),
  ];
}

/** How many of the reads show anything of the other workspace. */
async function leaks(api: Sql): Promise<number> {
  const platform = db.sql('vibn_platform');
  const resources = createSqlResourceStore({ api, platform, signals: { signal: () => undefined } });
  const admin = createSqlAdminStore({ api, platform, controller: platform });
  let leaking = 0;
  for (const read of reads({ resources, admin })) {
    const shown = JSON.stringify(await read()) ?? 'null';
    if (shown.includes(theirs)) leaking += 1;
  }
  return leaking;
}

describe('a filter by workspace that was forgotten', () => {
  test('shows nothing of another workspace behind row-level security, in any statement', async () => {
    expect(await leaks(mutantPool(db.sql('vibn_api')))).toBe(0);
    expect(mutated.size).toBeGreaterThanOrEqual(8);
  });

  test('would show it without: the mutant is one', async () => {
    expect(await leaks(mutantPool(db.sql('vibn_platform')))).toBeGreaterThanOrEqual(6);
  });

  test('is in none of the statements: as they are they show nothing even without the second wall', async () => {
    expect(await leaks(db.sql('vibn_platform'))).toBe(0);
  });
});
