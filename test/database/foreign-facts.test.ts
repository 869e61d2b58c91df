import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { shardOf } from '#resources/shard.ts';
import {
  claim,
  declare,
  fenceOf,
  principal,
  read,
  settleOf,
  shard,
  workspace,
} from '#test/conformance/store-contract/fixture.ts';
import { createSqlStores, type SqlStores } from '#test/support/stores.ts';

/**
 * What the API's login may write under a workspace names a row by its uid alone, which may be another workspace's of the same shard: no
 * policy sees that. So the engine counts a fact only if it is of the row's own workspace.
 */
const theirs = Array.from({ length: 1_000 }, (_, n) => `beta${n}`).find((slug) => shardOf(slug) === shard) ?? '';

let stores: SqlStores;
beforeAll(async () => {
  stores = await createSqlStores();
});
afterAll(() => stores[Symbol.asyncDispose]());
beforeEach(() => stores.clear());

/** Writes as the API does for a key of another workspace. */
async function asAnother(statement: string): Promise<void> {
  await stores.db.login('vibn_api').begin(async (sql) => {
    await sql.unsafe(`set local vibn.workspace = '${theirs}'`);
    await sql.unsafe(statement);
  });
}

const by = JSON.stringify(principal);

test('a decision of another workspace is not seen by a pass, and not taken for applied by its settle', async () => {
  const uid = await declare(stores, 'a');
  const claimed = await claim(stores, uid);
  await stores.engine.announce(fenceOf(claimed), { effect: 'create:1', nonce: 'n1', args: {} });
  await stores.engine.markSending(fenceOf(claimed), 'n1', 1_000);
  await asAnother(`
    insert into decisions (shard, uid, effect, at, workspace, outcome, evidence, by)
    values (${shard}, '${uid}', 'create:1', statement_timestamp(), '${theirs}', 'did_not', 'so I say', '${by}')`);
  expect((await read(stores, uid)).decisions).toEqual([]);
  const key = { workspace, kind: 'Bucket', name: 'a' };
  const decision = { effect: 'create:1', outcome: 'happened', evidence: 'seen', by: principal } as const;
  await stores.elapse(2_000);
  expect(await stores.resources.decide({ workspace }, { key, decision })).toBe(true);
  expect((await read(stores, uid)).decisions.map((one) => one.outcome)).toEqual(['happened']);
  await stores.engine.settle(shard, [settleOf(claimed, { decided: ['create:1'] })]);
  const applied = await stores.db.owner`select workspace, applied_at is not null as applied from decisions order by 2`;
  expect(applied).toEqual([
    { workspace: theirs, applied: false },
    { workspace, applied: true },
  ]);
});

test('a revision of another workspace approves nothing', async () => {
  const uid = await declare(stores, 'a');
  await stores.db.owner`delete from revisions where uid = ${uid}`;
  await asAnother(`
    insert into revisions (shard, uid, generation, workspace, spec, by, approved, confirmed, at)
    values (${shard}, '${uid}', 1, '${theirs}', '{}', '${by}', '{anything}', true, statement_timestamp())`);
  expect((await read(stores, uid)).revision?.approved ?? []).toEqual([]);
});

test('a decision is not born applied, and no key is born used or revoked', async () => {
  const uid = await declare(stores, 'a');
  const at = 'statement_timestamp()';
  const born = [
    `insert into decisions (shard, uid, effect, at, workspace, outcome, evidence, by, applied_at)
      values (${shard}, '${uid}', 'e', ${at}, '${theirs}', 'happened', 's', '${by}', ${at})`,
    ...['revoked_at', 'last_used_at'].map(
      (
        column,
      ) => `insert into api_keys (id, secret_hash, name, workspace, class, scopes, lineage, created_at, ${column})
      values ('k', 'h', 'n', '${theirs}', 'agent', '{}', 'l', ${at}, ${at})`,
    ),
  ];
  for (const statement of born) await expect(asAnother(statement)).rejects.toMatchObject({ code: '42501' });
});
