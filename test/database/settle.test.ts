import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Claim, Settle } from '#controller/store/rows.ts';
import { topic } from '#resources/topic.ts';
import {
  claim,
  claimAll,
  declare,
  fenceOf,
  insertOf,
  isDue,
  pass,
  read,
  settleOf,
  shard,
  statusOf,
  versionNow,
  workspace,
  write,
} from '#test/conformance/store-contract/fixture.ts';
import { createSqlStores, type SqlStores } from '#test/support/stores.ts';

// How settles become statements and versions; what they mean is in the contract (test/conformance/store-contract/settles.ts).

let stores: SqlStores;
let statements: string[] = [];
beforeAll(async () => {
  stores = await createSqlStores({ onStatement: (name) => void statements.push(name) });
});
afterAll(() => stores[Symbol.asyncDispose]());
beforeEach(() => stores.clear());

/** Settles claims and answers which statements that took. */
async function settle(settles: readonly Settle[]): Promise<string[]> {
  statements = [];
  await stores.engine.settle(shard, settles);
  // What is answered in one message is told in any order.
  return statements.toSorted();
}

const declared = async (count: number): Promise<readonly Claim[]> => {
  await write(
    stores,
    Array.from({ length: count }, (_, n) => insertOf(`row-${n}`)),
  );
  return await claimAll(stores);
};

describe('a batch', () => {
  test('that changes nothing is one statement, and leaves the counter and the rows alone', async () => {
    const claims = await declared(20);
    const before = await stores.db.owner`select xmin, version from shards where shard = ${shard}`;
    const rows = await stores.db.owner`select xmin, uid from resources order by uid`;
    expect(await settle(claims.map((one) => settleOf(one, { verified: true })))).toEqual(['settle_unchanged']);
    expect(await stores.db.owner`select xmin, version from shards where shard = ${shard}`).toEqual(before);
    expect(await stores.db.owner`select xmin, uid from resources order by uid`).toEqual(rows);
  });

  test('with facts but neither status nor listeners is one statement too', async () => {
    const [one] = await declared(1);
    if (one === undefined) throw new Error('nothing was claimed');
    const version = await versionNow(stores);
    expect(await settle([settleOf(one, { recentActions: [{ digest: 'x', acknowledgedAt: 1, count: 1 }] })])).toEqual([
      'settle_changed',
    ]);
    expect(await versionNow(stores)).toBe(version);
  });

  test('with a status is a transaction of two, each row with the next version and no gap', async () => {
    const claims = await declared(12);
    const before = await versionNow(stores);
    const settles = claims.map((one, n) => settleOf(one, n % 3 === 0 ? {} : { status: statusOf() }));
    expect(await settle(settles)).toEqual(['commit_settle', 'lock_shard', 'settle_changed']);
    const rows = await stores.db.owner<{ version: string }[]>`
      select version from resources where observed_generation = 1 order by version`;
    expect(rows.map((row) => Number(row.version))).toEqual(Array.from({ length: 8 }, (_, n) => before + 1 + n));
    expect(await versionNow(stores)).toBe(before + 8);
  });

  test('with listeners alone takes the lock but moves no version', async () => {
    const claims = await declared(2);
    const before = await versionNow(stores);
    const settles = claims.map((one) => settleOf(one, { listeners: ['funds:acme'] }));
    expect(await settle(settles)).toEqual(['commit_settle', 'lock_shard', 'settle_changed']);
    expect(await versionNow(stores)).toBe(before);
  });

  test('of which every pass is fenced moves no version, fires nothing and wakes nobody', async () => {
    const name = topic.ref('Bucket', workspace, 'x');
    const listener = await declare(stores, 'listener');
    await pass(stores, listener, { listeners: [name] });
    const uid = await declare(stores, 'a');
    const one = await claim(stores, uid);
    const before = await versionNow(stores);
    await settle([settleOf({ ...one, epoch: 5 }, { status: statusOf(), fires: [name] })]);
    expect(await versionNow(stores)).toBe(before);
    expect(await stores.db.owner`select from topics`).toHaveLength(0);
    expect(await isDue(stores, listener)).toBe(false);
  });

  test('fires only what its unfenced passes fire', async () => {
    const claims = await declared(2);
    const settles = claims.map((one, n) =>
      settleOf(n === 0 ? one : { ...one, epoch: 9 }, { status: statusOf(), fires: [`funds:w${n}`] }),
    );
    await settle(settles);
    const topics = await stores.db.owner<
      { topic: string; at: string }[]
    >`select topic, fired_version as at from topics`;
    expect(topics.map((row) => row.topic)).toEqual(['funds:w0']);
    expect(Number(topics[0]?.at)).toBe(await versionNow(stores));
  });

  test('keeps what a pass does not mention', async () => {
    const uid = await declare(stores, 'a');
    const actions = [{ digest: 'd', acknowledgedAt: 1, count: 1 }];
    await pass(stores, uid, { recentActions: actions, materialized: true, listeners: ['funds:acme'], dueInMs: 0 });
    const before = await read(stores, uid);
    await pass(stores, uid, { status: statusOf(), dueInMs: 0, priority: 'user' });
    const after = await read(stores, uid);
    expect(after.work.recentActions).toEqual(actions);
    expect(after.work.materializedAt).toBe(before.work.materializedAt);
    expect(after.listeners).toEqual(['funds:acme']);
  });
});

describe('signals', () => {
  test('follow commits that others wait for, and no others', async () => {
    const [one, two] = await declared(2);
    if (one === undefined || two === undefined) throw new Error('nothing was claimed');
    stores.signalled.length = 0;
    await settle([settleOf(one)]);
    expect(stores.signalled).toEqual([]);
    await settle([settleOf(two, { status: statusOf() })]);
    expect(stores.signalled).toEqual([shard]);
  });

  test('follow a settle whose row was woken meanwhile', async () => {
    const uid = await declare(stores, 'a');
    await pass(stores, uid, { listeners: ['funds:acme'], dueInMs: 0, priority: 'user' });
    const one = await claim(stores, uid);
    await stores.engine.fire(shard, ['funds:acme'], 0);
    stores.signalled.length = 0;
    await settle([settleOf(one)]);
    expect(stores.signalled).toEqual([shard]);
  });
});

describe('a row woken while it was held', () => {
  test('is due behind the urgent ones that wait, not before them for ever', async () => {
    const uid = await declare(stores, 'a');
    await pass(stores, uid, { listeners: ['funds:acme'], dueInMs: 0, priority: 'user' });
    await stores.elapse(86_400_000);
    const one = await claim(stores, uid);
    const user = await declare(stores, 'user');
    await stores.engine.fire(shard, ['funds:acme'], 0);
    await settle([settleOf(one)]);
    const [first] = await stores.engine.claim({ shard, holder: 'w', limit: 1, perWorkspaceMax: 1, leaseMs: 15_000 });
    expect(first?.uid).toBe(user);
    if (first !== undefined) await stores.engine.release([fenceOf(first, 'w')]);
  });
});
