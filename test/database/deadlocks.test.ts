import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  insertOf,
  leaseMs,
  principal,
  settleOf,
  shard,
  statusOf,
  versionNow,
  write,
} from '#test/conformance/store-contract/fixture.ts';
import { onCitus } from '#test/support/postgres.ts';
import { createSqlStores, gate, sumOverNodes, type SqlStores } from '#test/support/stores.ts';

// Every writer locks in one order (E2), so nobody is ever chosen as a deadlock's victim. The driver repeats such a statement, so what
// counts is what the server said, not what the callers saw.

const runMs = 6_000;
const outcomes = new Map<string, number>();
let stores: SqlStores;
beforeAll(async () => {
  const onStatement = (_name: string, _ms: number, outcome: string): void => {
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  };
  stores = await createSqlStores({ max: 20, onStatement });
});
afterAll(() => stores[Symbol.asyncDispose]());

/** Deadlocks the server has seen in this database. */
async function deadlocks(): Promise<number> {
  return await sumOverNodes(stores.db, 'select deadlocks from pg_stat_database where datname = current_database()');
}

const topics = ['funds:acme', 'quota:acme', 'ref:Bucket/acme/row-1', 'list:Bucket/x'];

describe('settles, mutations of many rows, firings, renewals, releases, answers and drains at once', () => {
  test('never deadlock', { timeout: 60_000 }, async () => {
    const inserts = Array.from({ length: 60 }, (_, n) => insertOf(`row-${n}`));
    await write(stores, inserts);
    const uids = inserts.map((one) => one.uid);
    const until = performance.now() + runMs;
    const counts: Record<string, number> = {};
    const repeat = async (name: string, act: (n: number) => Promise<unknown>): Promise<void> => {
      for (let n = 0; performance.now() < until; n += 1) {
        await act(n);
        counts[name] = n + 1;
      }
    };
    const shuffled = (seed: number): string[] =>
      uids.toSorted((a, b) => ((a.charCodeAt(35) * 7 + seed) % 11) - ((b.charCodeAt(35) * 7 + seed) % 11));

    const passes = (holder: string) => async (n: number) => {
      const claims = await stores.engine.claim({ shard, holder, limit: 25, perWorkspaceMax: 25, leaseMs });
      const readVersion = await versionNow(stores);
      const settles = claims.map((one, index) => {
        const what = (n + index) % 4;
        const change = [
          {},
          { status: statusOf() },
          { status: statusOf(), fires: topics.slice(index % 3), listeners: topics.slice(n % 3) },
          { listeners: topics.toReversed() },
        ][what];
        return settleOf(one, { holder, readVersion, dueInMs: 0, ...change });
      });
      await stores.engine.settle(shard, settles.toReversed());
    };
    const mutate = async (n: number) => {
      const some = shuffled(n).slice(0, 20);
      const plain = { labels: {}, annotations: {}, approved: [], spec: { n }, newGeneration: true, by: principal };
      await write(
        stores,
        inserts
          .filter((one) => some.includes(one.uid))
          .toReversed()
          .map(({ uid, key }) => ({ op: 'update', uid, key, fires: topics.slice(n % 4), ...plain })),
      );
    };
    await Promise.all([
      ...['a', 'b', 'c', 'd'].map((holder) => repeat(`passes of ${holder}`, passes(holder))),
      repeat('mutations', mutate),
      repeat('more mutations', (n) => mutate(n + 5)),
      repeat('firings', (n) => stores.engine.fire(shard, topics.toReversed(), (n % 2) * 100)),
      repeat('renewals', (n) => stores.engine.renew({ shard, holder: 'a', uids: shuffled(n), leaseMs })),
      repeat('renewals of b', (n) => stores.engine.renew({ shard, holder: 'b', uids: shuffled(n + 3), leaseMs })),
      repeat('releases', (n) =>
        stores.engine.release(shuffled(n).map((uid) => ({ shard, uid, epoch: n % 50, holder: 'c' }))),
      ),
      repeat('answers', (n) =>
        stores.engine.answer({ shard, uid: uids[n % 60] ?? '', nonce: `n${n}`, state: 'done', result: null }),
      ),
      repeat('drains', () => stores.engine.drain(shard, 10)),
      repeat('sweeps', () =>
        stores.engine.sweep(shard, { tombstoneMs: 0, passMs: 0, topicMs: 0, doneIntentsKept: 10, batchMax: 10 }),
      ),
    ]);

    // Each took part, so the silence means something.
    expect(Object.values(counts)).toHaveLength(13);
    expect(Math.min(...Object.values(counts))).toBeGreaterThan(onCitus() ? 0 : 3);
    expect(outcomes.get('40P01')).toBeUndefined();
    expect(await deadlocks()).toBe(0);
  });
});

describe('the control', () => {
  test('two transactions that lock in opposite orders deadlock, and the count says so', async () => {
    const [one = '', two = ''] = (await stores.db.owner`select uid from work order by uid limit 2`).map(
      (row) => row['uid'],
    );
    const both = [gate(), gate()];
    const lock = (first: string, second: string, n: number) =>
      stores.db.owner.begin(async (tx) => {
        await tx`select from work where shard = ${shard} and uid = ${first} for update`;
        both[n]?.open();
        await Promise.all(both.map((one) => one.opened));
        await tx`select from work where shard = ${shard} and uid = ${second} for update`;
      });
    const results = await Promise.allSettled([lock(one, two, 0), lock(two, one, 1)]);
    const failures = results.filter((result) => result.status === 'rejected');
    expect(failures.map((failure) => (failure.reason as { code?: string }).code)).toEqual(['40P01']);
    // A cluster finds them by asking all nodes, which counts nowhere: there the codes of the outcomes tell.
    for (let seen = onCitus() ? 1 : 0; seen === 0;) seen = await deadlocks();
  });
});
