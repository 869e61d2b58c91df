import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock, systemRng, type Clock } from '#controller/clock.ts';
import { createSqlSignals } from '#controller/store/signals.ts';
import { cutProxy } from '#test/support/cut-proxy.ts';
import { createDatabase, type TestDatabase } from '#test/support/postgres.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await createDatabase();
});
afterAll(() => db[Symbol.asyncDispose]());

/** Signals, what they heard, and a promise of the next thing heard that satisfies a test. */
function open(url: string, clock: Clock = systemClock) {
  const heard: (readonly number[] | null)[] = [];
  const waiters: { wants: (shards: readonly number[] | null) => boolean; resolve: () => void }[] = [];
  const signals = createSqlSignals({ url, clock, rng: systemRng });
  signals.onSignal((shards) => {
    heard.push(shards);
    for (const waiter of waiters) if (waiter.wants(shards)) waiter.resolve();
  });
  const next = (wants: (shards: readonly number[] | null) => boolean): Promise<void> =>
    new Promise((resolve) => waiters.push({ wants, resolve }));
  return { ...signals, heard, next };
}

test('a signal reaches other processes and one’s own', async () => {
  const [a, b] = [open(db.directUrlOf('vibn_api')), open(db.directUrlOf('vibn_controller'))];
  await Promise.all([a, b].map((one) => one.next((shards) => shards === null)));
  const both = [a, b].map((one) => one.next((shards) => shards?.includes(17) ?? false));
  a.signal([17]);
  await Promise.all(both);
  expect([a.heard, b.heard]).toEqual([
    [null, [17]],
    [null, [17]],
  ]);
  await Promise.all([a.end(), b.end()]);
});

test('many signals become one NOTIFY per 10 ms, and none is left out', async () => {
  const one = open(db.directUrlOf('vibn_api'));
  await one.next((shards) => shards === null);
  const last = one.next((shards) => shards?.includes(63) ?? false);
  for (let round = 0; round < 100; round += 1) for (let shard = 0; shard < 64; shard += 1) one.signal([shard]);
  await last;
  const payloads = one.heard.filter((shards) => shards !== null);
  expect(payloads.length).toBe(1);
  expect(new Set(payloads.flat()).size).toBe(64);
  await one.end();
});

test('a killed session is replaced, and listeners hear that everything may have changed', async () => {
  const one = open(db.directUrlOf('vibn_api'));
  await one.next((shards) => shards === null);
  const again = one.next((shards) => shards === null);
  await db.owner`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'vibn_signals' and datname = ${db.name}`;
  await again;
  const heard = one.next((shards) => shards?.[0] === 5);
  one.signal([5]);
  await heard;
  expect(one.heard).toEqual([null, null, [5]]);
  await one.end();
});

test('a half-open session is noticed within 15 s', async () => {
  await using proxy = await cutProxy(db.directUrlOf('vibn_api'));
  // Time runs 50 times as fast; the sockets do not.
  const start = systemClock.monotonic();
  const fast: Clock = {
    now: () => systemClock.now(),
    monotonic: () => (systemClock.monotonic() - start) * 50,
    sleep: (ms, signal) => systemClock.sleep(ms / 50, signal),
    after: (ms, callback) => systemClock.after(ms / 50, callback),
  };
  const one = open(proxy.url, fast);
  await one.next((shards) => shards === null);
  const again = one.next((shards) => shards === null);
  const holed = fast.monotonic();
  proxy.blackHole();
  await again;
  expect(fast.monotonic() - holed).toBeLessThan(15_000);
  await one.end();
});
