import type postgres from 'postgres';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createSqlResourceStore } from '#controller/store/sql-resource-store.ts';
import { shardOf } from '#resources/shard.ts';
import { createDatabase, type TestDatabase } from '#test/support/postgres.ts';
import { bucketKey, insertOf, mutationOf } from '#test/support/rows.ts';

/** Every table that holds a tenant's words. A table with a column `workspace` that is not here must be unreadable for the API. */
const tenantTables =
  'api_keys approvals audit_log decisions intents ledger_entries operations passes plans quotas requests resources revisions secrets tombstones work'.split(
    ' ',
  );
/** Of which no statement of the API reads or writes anything yet: it has no right to them at all. */
const closed = 'approvals ledger_entries quotas secrets'.split(' ');
const readable = tenantTables.filter((table) => !closed.includes(table));

let db: TestDatabase;
let api: postgres.Sql;
beforeAll(async () => {
  db = await createDatabase();
  api = db.login('vibn_api');
  await fill(db.owner, 'acme');
  await fill(db.owner, 'beta1');
});
afterAll(() => db[Symbol.asyncDispose]());

/** One row of a workspace in each tenant table. */
async function fill(sql: postgres.Sql, workspace: string): Promise<void> {
  const at = 'statement_timestamp()';
  const head = `${shardOf(workspace)}, 'uid-${workspace}'`;
  const values: Record<string, string> = {
    resources: `(shard, uid, workspace, kind, name, generation, version, spec, created_by, created_at, updated_at)
      values (${head}, '${workspace}', 'Bucket', 'one', 1, 1, '{}', '{}', ${at}, ${at})`,
    work: `(shard, uid, workspace, kind, due_at, priority) values (${head}, '${workspace}', 'Bucket', ${at}, 'user')`,
    revisions: `(shard, uid, generation, workspace, spec, by, at) values (${head}, 1, '${workspace}', '{}', '{}', ${at})`,
    passes: `values (${head}, 1, '${workspace}', 1, 't', null, 'd', null, 'd', '[]', 'o', 1, null, ${at})`,
    intents: `(shard, uid, effect, attempt, workspace, nonce, state, args, announced_at)
      values (${head}, 'e', 1, '${workspace}', 'n-${workspace}', 'announced', '{}', ${at})`,
    decisions: `values (${head}, 'e', ${at}, '${workspace}', 'happened', 'seen', '{}')`,
    operations: `(shard, uid, key, workspace, op, input, state, created_at, updated_at)
      values (${head}, 'k', '${workspace}', 'start', '{}', 'waiting', ${at}, ${at})`,
    approvals: `values (${head}, 1, 'd', '${workspace}', '{}', ${at})`,
    plans: `values (${shardOf(workspace)}, 'h', 'Bucket', 'one', '${workspace}', 0, 'd', '[]', ${at})`,
    tombstones: `values (${shardOf(workspace)}, ${workspace.length}, 'u', '${workspace}', 'Bucket', 'gone', '{}', ${at})`,
    requests: `values (${shardOf(workspace)}, '${workspace}', 'l', 'r', 'd', '[]', ${at})`,
    audit_log: `values (${shardOf(workspace)}, '${workspace}', 1, ${at}, 'a', 'l', 'p', 'o', 't', 'd', 'x', '', 'h')`,
    secrets: `values (${shardOf(workspace)}, '${workspace}', 'u', 'f', 1, 'c', 'k', ${at})`,
    quotas: `values (${shardOf(workspace)}, '${workspace}', 'Bucket', 1, ${at})`,
    ledger_entries: `values (${shardOf(workspace)}, '${workspace}', 'i-${workspace}', 'leg', 'acc', 1, 'CAD', ${at})`,
    api_keys: `(id, secret_hash, name, workspace, class, scopes, lineage, created_at)
      values ('key-${workspace}', 'h', 'n', '${workspace}', 'agent', '{}', 'l', ${at})`,
  };
  expect(Object.keys(values).toSorted()).toEqual(tenantTables);
  for (const [table, text] of Object.entries(values)) await sql.unsafe(`insert into ${table} ${text}`);
}

/** Runs as the API inside a workspace; nothing is kept. */
async function inside<T>(workspace: string | null, body: (sql: postgres.TransactionSql) => Promise<T>): Promise<T> {
  const undo = new Error('undo');
  let result: { value: T } | undefined;
  await api
    .begin(async (sql) => {
      if (workspace !== null) await sql.unsafe(`set local vibn.workspace = '${workspace}'`);
      result = { value: await body(sql) };
      throw undo;
    })
    .catch((error: unknown) => {
      if (error !== undo) throw error;
    });
  if (result === undefined) throw new Error('no result');
  return result.value;
}

test('the list of tenant tables is complete, and each has row-level security that binds even the owner', async () => {
  const tables = await db.owner`
    select c.relname, c.relrowsecurity and c.relforcerowsecurity as walled,
      has_any_column_privilege('vibn_api', c.oid, 'select, insert, update') as touched
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'workspace'
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' order by 1`;
  const touched = tables.filter((table) => table['touched']);
  expect(touched.map((table) => table['relname'])).toEqual(readable);
  const ours = tables.filter((table) => tenantTables.includes(String(table['relname'])));
  expect(ours).toHaveLength(tenantTables.length);
  expect(ours.every((table) => table['walled'])).toBe(true);
});

describe.each(readable)('%s', (table) => {
  const count = async (sql: postgres.TransactionSql): Promise<number> =>
    (await sql.unsafe(`select 1 from ${table}`)).length;

  test('shows a workspace its own rows, and nothing without a workspace', async () => {
    expect((await db.owner.unsafe(`select 1 from ${table}`)).length).toBe(2);
    for (const workspace of ['acme', 'beta1']) {
      const rows = await inside(workspace, (sql) => sql.unsafe(`select workspace from ${table}`));
      expect(rows).toEqual([{ workspace }]);
    }
    expect(await inside('', count)).toBe(0);
    expect(await inside(null, count)).toBe(0);
    expect(await inside('other', count)).toBe(0);
    expect(await db.login('vibn_platform').unsafe(`select 1 from ${table}`)).toHaveLength(2);
  });
});

describe('a foreign workspace', () => {
  const inserts: Record<string, string> = {
    resources: `insert into resources (shard, uid, workspace, kind, name, generation, version, spec, created_by, created_at, updated_at)
      values (1, 'x', 'beta1', 'Bucket', 'x', 1, 1, '{}', '{}', statement_timestamp(), statement_timestamp())`,
    work: `insert into work (shard, uid, workspace, kind, due_at, priority)
      values (${shardOf('beta1')}, 'uid-beta1', 'beta1', 'Bucket', statement_timestamp(), 'user')`,
    revisions: `insert into revisions (shard, uid, generation, workspace, spec, by, at)
      values (1, 'x', 1, 'beta1', '{}', '{}', statement_timestamp())`,
    requests: `insert into requests values (1, 'beta1', 'l', 'r2', 'd', '[]', statement_timestamp())`,
    audit_log: `insert into audit_log values (1, 'beta1', 9, statement_timestamp(), 'a', 'l', 'p', 'o', 't', 'd', 'x', '', 'h')`,
    decisions: `insert into decisions (shard, uid, effect, at, workspace, outcome, evidence, by)
      values (1, 'x', 'e', statement_timestamp(), 'beta1', 'happened', 's', '{}')`,
    api_keys: `insert into api_keys (id, secret_hash, name, workspace, class, scopes, lineage, created_at)
      values ('mine', 'h', 'n', 'beta1', 'agent', '{}', 'l', statement_timestamp())`,
  };

  test.each(Object.keys(inserts))('cannot be written into: %s', async (table) => {
    const refused = inside('acme', (sql) => sql.unsafe(inserts[table] ?? ''));
    await expect(refused).rejects.toThrow('row-level security');
  });

  test('cannot be written into behind a key’s id either', async () => {
    const refused = inside('acme', async (sql) => {
      await sql`set local vibn.key = 'mine'`;
      await sql.unsafe(inserts['api_keys'] ?? '');
    });
    await expect(refused).rejects.toThrow('row-level security');
  });

  test('cannot be changed: its rows are not there', async () => {
    const updates = [
      `update resources set spec = '{"stolen": true}'`,
      `update work set due_at = statement_timestamp()`,
      `update api_keys set revoked_at = statement_timestamp()`,
      `update operations set cancel_requested_at = statement_timestamp()`,
    ];
    for (const update of updates) {
      const rows = await inside('acme', (sql) => sql.unsafe(`${update} where workspace = 'beta1'`));
      expect([update, rows.count]).toEqual([update, 0]);
    }
  });

  test('a key that was revoked is never made good again, nor changed in any other way', async () => {
    const tried = async (update: string): Promise<number> =>
      (await inside('acme', (sql) => sql.unsafe(`${update} where id = 'key-acme'`))).count;
    expect(await tried('update api_keys set last_used_at = null')).toBe(1);
    await db.owner`update api_keys set revoked_at = statement_timestamp() where id = 'key-acme'`;
    expect(await tried('update api_keys set revoked_at = null')).toBe(0);
    expect(await tried('update api_keys set last_used_at = null')).toBe(0);
    await expect(tried('update api_keys set expires_at = null')).rejects.toMatchObject({ code: '42501' });
    const platform = db.login('vibn_platform');
    expect((await platform`update api_keys set revoked_at = null where id = 'key-acme'`).count).toBe(0);
    await db.owner`update api_keys set revoked_at = null where id = 'key-acme'`;
  });

  test('a key is found by its id alone, one at a time', async () => {
    const rows = await inside(null, async (sql) => {
      await sql`set local vibn.key = 'key-beta1'`;
      return await sql`select id from api_keys`;
    });
    expect(rows).toEqual([{ id: 'key-beta1' }]);
  });
});

describe('the store, were its queries to forget the workspace', () => {
  beforeEach(() => db.owner`delete from resources where name like 'wall%'`);

  test('still answers nothing of another workspace', async () => {
    const options = {
      api: db.sql('vibn_api'),
      platform: db.sql('vibn_platform'),
      signals: { signal: () => undefined },
    };
    const store = createSqlResourceStore(options);
    const foreign = insertOf(bucketKey('wall', 'beta1'));
    await store.mutate(mutationOf('platform', () => [foreign], { workspace: 'beta1' }));
    const acme = { workspace: 'acme' } as const;
    // The scope says acme, the query beta1: only the second wall stands between them.
    expect(await store.get(acme, foreign.key)).toBeNull();
    expect(await store.getByUid(acme, 'beta1', [foreign.uid])).toEqual([]);
    expect((await store.list(acme, { workspace: 'beta1', limit: 9 })).items).toEqual([]);
    expect((await store.changes(acme, { workspace: 'beta1', afterVersion: 0, limit: 9 })).changes).toEqual([]);
    expect(await store.revisions(acme, { workspace: 'beta1', uid: foreign.uid, limit: 9 })).toEqual([]);
    const stolen = store.mutate(
      mutationOf(acme, () => [insertOf(bucketKey('wall2', 'beta1'))], { workspace: 'beta1' }),
    );
    await expect(stolen).rejects.toThrow('row-level security');
  });
});
