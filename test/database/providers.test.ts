import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { destructionExhausted } from '#controller/pass/gates.ts';
import { createSqlProviderStore } from '#controller/store/sql-provider-store.ts';
import { topic } from '#resources/topic.ts';
import { declare, keyOf, pass, shard } from '#test/conformance/store-contract/fixture.ts';
import { shardOf } from '#resources/shard.ts';
import { makeRow } from '#resources/testing.ts';
import { createSqlStores, gate, sessionsWaiting, type SqlStores } from '#test/support/stores.ts';

// What replicas share, under many of them at once; the rest is in the contract (providers.ts).

let stores: SqlStores;
beforeAll(async () => {
  stores = await createSqlStores({ max: 16 });
});
afterAll(() => stores[Symbol.asyncDispose]());
beforeEach(() => stores.clear());

const gcs = { provider: 'gcs', account: 'p1' };
const atOnce = <T>(times: number, act: (n: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: times }, (_, n) => act(n)));

describe('a breaker', () => {
  test('that forty calls report failed at once opens for exactly one of them, and closes for exactly one', async () => {
    const failed = await atOnce(40, () =>
      stores.providers.report({ ...gcs, outcome: 'unavailable', opensAt: 5, wakePerSecond: 50 }),
    );
    expect(failed.filter((one) => one.opened)).toHaveLength(1);
    expect((await stores.providers.providers())[0]).toMatchObject({ breaker: 'open', failures: 40 });
    const fine = await atOnce(40, () =>
      stores.providers.report({ ...gcs, outcome: 'ok', opensAt: 5, wakePerSecond: 50 }),
    );
    expect(fine.filter((one) => one.closed)).toHaveLength(1);
    expect((await stores.providers.providers())[0]).toMatchObject({ breaker: 'closed', failures: 0, cause: null });
  });

  test('that opens while another report waits for its row stays consistent', async () => {
    const report = () => stores.providers.report({ ...gcs, outcome: 'unavailable', opensAt: 2, wakePerSecond: 50 });
    await report();
    const [held, free] = [gate(), gate()];
    const other = stores.db.owner.begin(async (tx) => {
      await tx`update providers set breaker = 'open', opened_at = '2026-01-01T00:00:00Z', failures = 2`;
      held.open();
      await free.opened;
    });
    await held.opened;
    const waiting = report();
    await sessionsWaiting(stores.db, 1);
    free.open();
    await other;
    const openedAt = Date.parse('2026-01-01T00:00:00Z');
    expect(await waiting).toMatchObject({ opened: false, row: { breaker: 'open', failures: 3, openedAt } });
  });

  test('counts each cause by itself: one refused credential among failures opens nothing', async () => {
    const report = (outcome: 'unavailable' | 'credential', opensAt: number) =>
      stores.providers.report({ ...gcs, outcome, opensAt, wakePerSecond: 50 });
    for (let n = 0; n < 4; n += 1) await report('unavailable', 5);
    expect((await report('credential', 3)).row).toMatchObject({ breaker: 'closed', failures: 1, cause: 'credential' });
    await report('credential', 3);
    expect(await report('credential', 3)).toMatchObject({ opened: true, row: { cause: 'credential' } });
    expect(await report('unavailable', 5)).toMatchObject({ opened: false, row: { cause: 'credential' } });
  });
});

describe('tokens', () => {
  test('leased by ten replicas at once are never more than the bucket holds', async () => {
    const take = () => stores.providers.takeTokens({ ...gcs, budget: 'gcs', want: 7, ratePerSecond: 0, burst: 100 });
    const granted = await atOnce(30, take);
    expect(granted.reduce((sum, one) => sum + one, 0)).toBe(100);
    expect(Math.min(...granted)).toBe(0);
  });

  test('refill by the database clock with fractions kept, up to the burst', async () => {
    const take = (want: number) =>
      stores.providers.takeTokens({ ...gcs, budget: 'gcs', want, ratePerSecond: 2, burst: 10 });
    expect(await take(10)).toBe(10);
    await stores.elapse(1_250);
    const first = await take(10);
    await stores.elapse(1_250);
    expect(first + (await take(10))).toBe(5);
    await stores.elapse(3_600_000);
    expect(await take(1_000)).toBe(10);
  });
});

describe('slots', () => {
  test('of a small limit are never held twice, by however many replicas', async () => {
    const take = (n: number) => stores.providers.takeSlot({ ...gcs, count: 3, holder: `h${n}`, leaseMs: 60_000 });
    const slots = (await atOnce(20, take)).filter((slot) => slot !== null);
    expect(new Set(slots)).toEqual(new Set([0, 1, 2]));
    expect(slots).toHaveLength(3);
    expect(await take(99)).toBeNull();
  });

  test('are given back by their holder alone', async () => {
    const slot = await stores.providers.takeSlot({ ...gcs, count: 1, holder: 'a', leaseMs: 60_000 });
    await stores.providers.giveSlot({ ...gcs, slot: slot ?? -1, holder: 'b' });
    expect(await stores.providers.takeSlot({ ...gcs, count: 1, holder: 'b', leaseMs: 60_000 })).toBeNull();
    await stores.providers.giveSlot({ ...gcs, slot: slot ?? -1, holder: 'a' });
    expect(await stores.providers.takeSlot({ ...gcs, count: 1, holder: 'b', leaseMs: 60_000 })).toBe(0);
  });
});

describe('a window', () => {
  test('counts exactly up to its limit under many at once, and forgets what has left it', async () => {
    const take = () => stores.providers.takeWindow({ scope: 'destroy', key: 'acme', limit: 20, windowMs: 600_000 });
    const taken = await atOnce(50, take);
    expect(taken.filter((one) => one.taken)).toHaveLength(20);
    // Not of those at once: a statement whose snapshot is older than the window's first event can not name it.
    const full = await take();
    const [{ oldest } = {}] = await stores.db.owner`select events[1] as oldest from windows`;
    expect(full).toEqual({ taken: false, freeAt: (oldest as Date).getTime() + 600_000 });
    await stores.elapse(600_001);
    expect(await take()).toEqual({ taken: true });
    expect(await stores.db.owner`select cardinality(events) as events from windows`).toEqual([{ events: 1 }]);
  });

  // All of its events are younger than the snapshot of the statement that finds it full: the statement can not name the oldest.
  test.each(['not there yet', 'of events long gone'])(
    'that was %s when a statement began which waited until it was full has room again when the refused look again',
    async (before) => {
      if (before !== 'not there yet') {
        await stores.db.owner`
          insert into windows values ('destroy', 'acme', array[statement_timestamp() - interval '11 minutes'])`;
      }
      const limit = { max: 20, windowMs: 600_000 };
      const [filled, commit] = [gate(), gate()];
      const filling = stores.db.owner.begin(async (tx) => {
        const [row] = await tx`
          insert into windows values ('destroy', 'acme', array_fill(clock_timestamp(), array[20]))
          on conflict (scope, key) do update set events = excluded.events returning events[1] as at`;
        filled.open();
        await commit.opened;
        return row?.['at'] as Date;
      });
      await filled.opened;
      const now = Date.now();
      const refused = stores.providers.takeWindow({
        scope: 'destroy',
        key: 'acme',
        limit: 20,
        windowMs: limit.windowMs,
      });
      await sessionsWaiting(stores.db, 1);
      commit.open();
      const filledAt = (await filling).getTime();
      expect(await refused).toEqual({ taken: false, freeAt: null });
      const { retryAfterMs } = destructionExhausted(makeRow({}), { ...limit, now, freeAt: null });
      // Such an event was taken by a statement under way at the same time, so within its timeout (5 s) of this one.
      const lateMs = now + (retryAfterMs ?? Infinity) - (filledAt + limit.windowMs);
      expect(Math.abs(lateMs)).toBeLessThan(5_000);
    },
  );
});

describe('probes', () => {
  test('of several replicas claim different rows, in whichever shard they are', async () => {
    const other = Array.from({ length: 500 }, (_, n) => `ws${n}`).find((slug) => shardOf(slug) !== shard) ?? '';
    const parked = topic.provider('gcs', 'p1');
    await pass(stores, await declare(stores, 'a'), { listeners: [parked] });
    await pass(stores, await declare(stores, 'b'), { listeners: [parked] });
    const far = await declare(stores, 'c', { key: keyOf('c', 'Bucket', other) });
    await stores.db.owner`insert into listeners values (${shardOf(other)}, ${parked}, ${far})`;
    const probes = await atOnce(5, (n) => stores.providers.claimProbe({ ...gcs, holder: `h${n}`, leaseMs: 15_000 }));
    const claimed = probes.filter((probe) => probe !== null);
    expect(new Set(claimed.map((probe) => probe.uid)).size).toBe(3);
    expect(claimed).toHaveLength(3);
    expect(new Set(claimed.map((probe) => probe.shard))).toEqual(new Set([shard, shardOf(other)]));
  });

  test('of another account are left alone', async () => {
    await pass(stores, await declare(stores, 'a'), { listeners: [topic.provider('gcs', 'p2')] });
    expect(await stores.providers.claimProbe({ ...gcs, holder: 'h', leaseMs: 15_000 })).toBeNull();
  });
});

describe('the platform role', () => {
  test('may read, freeze a known account and thaw it, and nothing else', async () => {
    const platform = createSqlProviderStore({ sql: stores.db.sql('vibn_platform') });
    await stores.providers.report({ ...gcs, outcome: 'ok', opensAt: 5, wakePerSecond: 50 });
    await platform.freeze({ ...gcs, by: 'sre-1', why: 'drill', forMs: 60_000 });
    expect((await platform.providers())[0]?.frozen).toMatchObject({ by: 'sre-1', why: 'drill' });
    expect(await platform.thaw(gcs)).toBe(true);
    await expect(platform.freeze({ ...gcs, account: 'unknown', by: 'x', why: 'y', forMs: null })).rejects.toThrow(
      /permission denied/,
    );
    await expect(platform.report({ ...gcs, outcome: 'ok', opensAt: 5, wakePerSecond: 50 })).rejects.toThrow(
      /permission denied/,
    );
    await expect(platform.takeSlot({ ...gcs, count: 1, holder: 'h', leaseMs: 1 })).rejects.toThrow(/permission denied/);
  });
});
