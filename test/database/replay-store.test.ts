import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createSqlReplayStore } from '#controller/store/sql-replay-store.ts';
import type { ReplaySelector } from '#controller/store/replay-store.ts';
import { shardCount, shardOf } from '#resources/shard.ts';
import {
  claim,
  declare,
  isDue,
  keyOf,
  pass,
  read,
  settleOf,
  shard,
  statusOf,
  workspace,
} from '#test/conformance/store-contract/fixture.ts';
import { seedRows } from '#test/support/seed-rows.ts';
import { createSqlStores, gate, sessionsWaiting, type SqlStores } from '#test/support/stores.ts';

// Replays over many rows, several leaders and their deaths; the rest is in the contract (replays.ts).

let stores: SqlStores;
beforeAll(async () => {
  stores = await createSqlStores();
});
afterAll(() => stores[Symbol.asyncDispose]());
beforeEach(() => stores.clear());

const patienceMs = 60_000;
const create = (id: string, selector: ReplaySelector = {}, requestId = id) =>
  stores.replays.create({ id, selector, ratePerSecond: 50, createdBy: 'lin1', requestId });
const ask = (id: string, count: number) => stores.replays.engineAsk({ id, count, rankPatienceMs: patienceMs });

/** Fills the shards a leader has left to fill, `shards` at most. */
async function fill(id: string, leader = 'a', shards = shardCount): Promise<number> {
  const lease = await stores.replays.engineLease(leader, 15_000);
  const from = (lease?.filledThrough ?? -1) + 1;
  let filled = 0;
  for (let next = from; next < Math.min(from + shards, shardCount); next += 1) {
    filled += await stores.replays.engineFill({ id, shard: next, ranks: { Workspace: 0, Bucket: 1 }, onceKinds: [] });
  }
  return filled;
}

describe('a replay', () => {
  test('of thousands of rows is filled in chunks, each row once, also when a shard is filled twice', async () => {
    await seedRows(stores.db.owner, { workspace, count: 2_500, dueMsAgo: -3_600_000 });
    await create('r1');
    expect(await fill('r1')).toBe(2_500);
    expect(await stores.replays.get('r1')).toMatchObject({ state: 'running', total: 2_500, waiting: 2_500 });
    await stores.db.owner`update replays set state = 'filling', filled_through = -1`;
    await fill('r1');
    expect(await stores.replays.get('r1')).toMatchObject({ state: 'running', total: 2_500 });
  });

  test('asks in the order (rank, shard, uid), so many as it is told', async () => {
    const slugs = Array.from({ length: 40 }, (_, n) => `tenant${String.fromCharCode(97 + (n % 26))}${n}`);
    const [low = '', high = ''] = slugs
      .toSorted((a, b) => shardOf(a) - shardOf(b))
      .filter((_, n) => n === 0 || n === 39);
    await seedRows(stores.db.owner, { workspace: high, count: 3, dueMsAgo: -3_600_000 });
    await seedRows(stores.db.owner, { workspace: low, count: 3, dueMsAgo: -3_600_000 });
    await create('r1');
    await fill('r1');
    expect(await ask('r1', 4)).toBe(4);
    const asked = await stores.db.owner`select uid from replay_items where state = 'asked' order by shard, uid`;
    expect(asked.map((row) => row['uid'])).toEqual([...[1, 2, 3].map((n) => `${low}-00000${n}`), `${high}-000001`]);
    expect(new Set(stores.signalled)).toEqual(new Set([shardOf(low), shardOf(high)]));
  });

  test('outlives its leader at any point: the next one goes on where it stood', async () => {
    await seedRows(stores.db.owner, { workspace, count: 10, dueMsAgo: -3_600_000 });
    await create('r1');
    await fill('r1', 'a', 20);
    expect(await stores.replays.engineLease('b', 15_000)).toBeNull();
    await stores.elapse(15_001);
    expect(await stores.replays.engineLease('b', 15_000)).toMatchObject({ state: 'filling', filledThrough: 19 });
    await fill('r1', 'b');
    await ask('r1', 4);
    await stores.elapse(15_001);
    expect(await stores.replays.engineLease('c', 15_000)).toMatchObject({ id: 'r1', state: 'running' });
    expect(await ask('r1', 100)).toBe(6);
    expect(await stores.replays.get('r1')).toMatchObject({ total: 10, waiting: 0, asked: 10 });
  });

  test('led by two at once, of whom one is a zombie, asks each row once', async () => {
    await seedRows(stores.db.owner, { workspace, count: 60, dueMsAgo: -3_600_000 });
    await create('r1');
    await fill('r1');
    const asked = await Promise.all([ask('r1', 40), ask('r1', 40), ask('r1', 40)]);
    expect(asked.reduce((sum, one) => sum + one, 0)).toBeLessThanOrEqual(60);
    while ((await ask('r1', 40)) > 0);
    const rows = await stores.db.owner`select distinct wake_seq from work`;
    expect(rows).toEqual([{ wake_seq: '1' }]);
  });

  test('made twice at the same moment by one request is one', async () => {
    const made = await Promise.all(['r1', 'r2', 'r3', 'r4'].map((id) => create(id, {}, 'request-1')));
    expect(new Set(made.map((one) => one.id)).size).toBe(1);
    expect(await stores.replays.list(10)).toHaveLength(1);
  });

  test('counts a row that is gone as done', async () => {
    const uid = await declare(stores, 'a');
    await pass(stores, uid);
    await create('r1');
    await fill('r1');
    await ask('r1', 10);
    await stores.db.owner`delete from resources`;
    expect(await stores.replays.engineCheck('r1')).toBe(0);
    expect(await stores.replays.get('r1')).toMatchObject({ state: 'done', done: 1, failing: [] });
  });

  test('suspended while it fills goes on filling when resumed', async () => {
    await create('r1');
    await fill('r1', 'a', 10);
    await stores.replays.setState('r1', 'suspend');
    await stores.replays.engineFill({ id: 'r1', shard: 10, ranks: {}, onceKinds: [] });
    expect(await stores.replays.engineLease('a', 15_000)).toBeNull();
    expect(await stores.replays.setState('r1', 'resume')).toMatchObject({ state: 'filling' });
    expect(await stores.replays.engineLease('a', 15_000)).toMatchObject({ filledThrough: 9 });
  });
});

describe('a pass', () => {
  /** A filled replay of one settled row. */
  async function oneRow(): Promise<string> {
    const uid = await declare(stores, 'a');
    await pass(stores, uid, { status: statusOf() });
    await create('r1');
    await fill('r1');
    return uid;
  }

  test('claimed in the same millisecond as the asking but after it counts', async () => {
    const uid = await oneRow();
    await ask('r1', 1);
    const [item] = await stores.db.owner<{ asked: string; claimed: string }[]>`
      select (t.ms + interval '100 microseconds')::text as asked, (t.ms + interval '101 microseconds')::text as claimed
      from (select date_trunc('milliseconds', asked_at) as ms from replay_items) t`;
    await stores.db.owner`update replay_items set asked_at = ${item?.asked ?? ''}::text::timestamptz`;
    const one = await claim(stores, uid);
    await stores.db.owner`update work set claimed_at = ${item?.claimed ?? ''}::text::timestamptz`;
    await stores.engine.settle(shard, [settleOf(one)]);
    expect(await stores.replays.engineCheck('r1')).toBe(0);
    expect(await stores.replays.get('r1')).toMatchObject({ unchanged: 1, healed: 0 });
  });

  test('whose claim began before the asking and locked the row after it: the row is asked again', async () => {
    const uid = await oneRow();
    const one = await claimAcrossAsking(uid);
    await stores.engine.settle(shard, [settleOf(one)]);
    expect(await isDue(stores, uid)).toBe(false);
    expect(await stores.replays.engineCheck('r1')).toBe(1);
    expect(await stores.replays.get('r1')).toMatchObject({ waiting: 1, asked: 0 });
    expect(await ask('r1', 1)).toBe(1);
    await pass(stores, uid);
    expect(await stores.replays.engineCheck('r1')).toBe(0);
  });

  test('held while the row is asked makes it due once more, and only the next pass counts', async () => {
    const uid = await oneRow();
    await stores.db.owner`update work set due_at = statement_timestamp()`;
    const one = await claim(stores, uid);
    await ask('r1', 1);
    await stores.engine.settle(shard, [settleOf(one)]);
    expect(await stores.replays.engineCheck('r1')).toBe(1);
    expect(await isDue(stores, uid)).toBe(true);
    await pass(stores, uid);
    expect(await stores.replays.engineCheck('r1')).toBe(0);
  });

  /** A claim whose time is before the asking although it sees what the asking wrote. */
  async function claimAcrossAsking(uid: string) {
    const [held, free] = [gate(), gate()];
    const other = stores.db.owner.begin(async (tx) => {
      await tx`select from work where shard = ${shard} and uid = ${uid} for update`;
      held.open();
      await free.opened;
    });
    await held.opened;
    const asking = ask('r1', 1);
    await sessionsWaiting(stores.db, 1);
    free.open();
    await Promise.all([other, asking]);
    const one = await claim(stores, uid);
    const [item] = await stores.db
      .owner`select (asked_at - interval '1 millisecond')::text as before from replay_items`;
    await stores.db.owner`update work set claimed_at = ${item?.['before']}::text::timestamptz`;
    expect((await read(stores, uid)).work.wakeSeq).toBe(one.wakeSeq);
    return one;
  }
});

describe('selectors', () => {
  test.for<[string, ReplaySelector, number]>([
    ['everything', {}, 4],
    ['a workspace', { workspace: 'other' }, 1],
    ['a kind', { kind: 'Workspace' }, 1],
    ['all labels given', { labels: { team: 'web', tier: '1' } }, 1],
    ['names', { names: ['a', 'b', 'nobody'] }, 2],
    ['a condition by type', { condition: { type: 'Ready' } }, 1],
    ['a condition by status', { condition: { type: 'Ready', status: 'False' } }, 0],
    ['a condition by reason', { condition: { type: 'Ready', reason: 'Available' } }, 1],
    ['all of it together', { workspace, kind: 'Bucket', labels: { team: 'web' }, names: ['a', 'acme'] }, 1],
  ])('choose %s', async ([, selector, total]) => {
    const a = await declare(stores, 'a', { labels: { team: 'web', tier: '1' } });
    await pass(stores, a, { status: statusOf() });
    await declare(stores, 'b', { labels: { team: 'web' } });
    await declare(stores, 'acme', { key: keyOf('acme', 'Workspace') });
    await declare(stores, 'c', { key: keyOf('c', 'Bucket', 'other') });
    await create('r1', selector);
    await fill('r1');
    expect((await stores.replays.get('r1'))?.total).toBe(total);
  });
});

describe('the platform role', () => {
  test('makes, reads and steers replays; their work is the controller’s', async () => {
    const signals = { signal: () => undefined };
    const platform = createSqlReplayStore({ sql: stores.db.sql('vibn_platform'), signals });
    const made = await platform.create({ id: 'r1', selector: {}, ratePerSecond: 50, createdBy: 'lin1' });
    expect(made).toMatchObject({ id: 'r1', state: 'filling', finishedAt: null });
    for (const wish of ['suspend', 'resume', 'cancel'] as const) await platform.setState('r1', wish);
    expect((await platform.get('r1'))?.state).toBe('cancelled');
    await expect(platform.engineLease('x', 1_000)).rejects.toThrow(/permission denied/);
    // The time it ended is noted by the next engine that looks for work.
    await stores.replays.engineLease('a', 15_000);
    expect((await platform.get('r1'))?.finishedAt).not.toBeNull();
  });
});
