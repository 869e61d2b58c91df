import { describe, expect, it } from 'vitest';
import type { Clock } from '#controller/clock.ts';
import type { ChangePage, Signals } from '#controller/store/resource-store.ts';
import { shardOf } from '#resources/shard.ts';
import { createFeed } from './feed.ts';

/** A clock whose sleeps end when told, or on abort. */
function handClock() {
  let now = 0;
  const sleeping = new Set<{ until: number; wake: () => void }>();
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    after: () => () => undefined,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        const one = { until: now + ms, wake: resolve };
        sleeping.add(one);
        signal?.addEventListener('abort', () => resolve(), { once: true });
        if (signal?.aborted === true) resolve();
      }),
  };
  const advance = async (ms: number): Promise<void> => {
    now += ms;
    for (const one of sleeping) if (one.until <= now) one.wake();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { clock, advance };
}

function setUp() {
  const { clock, advance } = handClock();
  const listeners = new Set<(shards: readonly number[] | null) => void>();
  const signals: Signals = {
    signal: (shards) => listeners.forEach((listener) => listener(shards)),
    onSignal: (listener) => (listeners.add(listener), () => listeners.delete(listener)),
  };
  const page: ChangePage = { changes: [], full: false, version: 1, trimmedThrough: 0 };
  const feed = createFeed({
    store: { changes: async () => page },
    signals,
    clock,
    options: { feedPollMs: 1_000, feedGapMs: 20, changesPageMax: 500 },
  });
  const reconnect = (): void => listeners.forEach((listener) => listener(null));
  return { feed, signals, reconnect, advance, listeners };
}

/** Whether a promise has resolved by now. */
async function done(promise: Promise<unknown>): Promise<boolean> {
  let resolved = false;
  void promise.then(() => (resolved = true));
  await new Promise((resolve) => setImmediate(resolve));
  return resolved;
}

const shard = shardOf('acme');
const other = (shard + 1) % 64;

describe('a place in the feed', () => {
  it('moves at once for a signal that came between the read and the wait (F1)', async () => {
    const { feed, signals } = setUp();
    const place = feed.place(['acme']);
    signals.signal([shard]);
    expect(await done(place.moved(5_000))).toBe(true);
  });

  it('moves for a signal of its shard alone, and for a reconnect', async () => {
    const { feed, signals, reconnect } = setUp();
    const place = feed.place(['acme']);
    const moved = place.moved(5_000);
    signals.signal([other]);
    expect(await done(moved)).toBe(false);
    reconnect();
    expect(await done(moved)).toBe(true);
  });

  it('moves after the poll interval when no signal comes (F2)', async () => {
    const { feed, advance } = setUp();
    const moved = feed.place(['acme']).moved(60_000);
    await advance(999);
    expect(await done(moved)).toBe(false);
    await advance(1);
    expect(await done(moved)).toBe(true);
  });

  it('looks at most once per gap, however many signals come (F3)', async () => {
    const { feed, signals, advance } = setUp();
    const place = feed.place(['acme']);
    signals.signal([shard]);
    await place.moved(5_000);
    signals.signal([shard]);
    const second = place.moved(5_000);
    expect(await done(second)).toBe(false);
    await advance(20);
    expect(await done(second)).toBe(true);
  });

  it('moves on abort, and before a shorter time out', async () => {
    const { feed, advance } = setUp();
    const stop = new AbortController();
    const aborted = feed.place(['acme']).moved(5_000, stop.signal);
    stop.abort();
    expect(await done(aborted)).toBe(true);
    const short = feed.place(['acme']).moved(10);
    await advance(10);
    expect(await done(short)).toBe(true);
  });

  it('hears nothing more after the feed was stopped', () => {
    const { feed, listeners } = setUp();
    feed.stop();
    expect(listeners.size).toBe(0);
  });
});

describe('reads of the feed', () => {
  const page = (version: number): ChangePage => ({ changes: [], full: false, version, trimmedThrough: 0 });
  const bench = () => {
    const reads: PromiseWithResolvers<ChangePage>[] = [];
    const { clock } = handClock();
    const feed = createFeed({
      store: {
        changes() {
          const read = Promise.withResolvers<ChangePage>();
          reads.push(read);
          return read.promise;
        },
      },
      signals: { signal: () => undefined, onSignal: () => () => undefined },
      clock,
      options: { feedPollMs: 1_000, feedGapMs: 20, changesPageMax: 500 },
    });
    return { feed, reads };
  };
  const acme = { workspace: 'acme' };

  it('are one for all who ask for the same page while one is under way, and read after they asked (F4)', async () => {
    const { feed, reads } = bench();
    const first = feed.read(acme, 'acme', 1);
    const others = [feed.read(acme, 'acme', 1), feed.read(acme, 'acme', 1)];
    reads[0]?.resolve(page(1));
    expect((await first).version).toBe(1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(reads).toHaveLength(2);
    reads[1]?.resolve(page(2));
    expect((await Promise.all(others)).map((one) => one.version)).toEqual([2, 2]);
    void feed.read(acme, 'acme', 1);
    expect(reads).toHaveLength(3);
  });

  it('are never shared between scopes, workspaces or versions', () => {
    const { feed, reads } = bench();
    for (const scope of [acme, 'platform'] as const) {
      for (const workspace of ['acme', 'beta']) for (const version of [1, 2]) void feed.read(scope, workspace, version);
    }
    expect(reads).toHaveLength(8);
  });

  it('go on after one that failed', async () => {
    const { feed, reads } = bench();
    const [first, second] = [feed.read(acme, 'acme', 1), feed.read(acme, 'acme', 1)];
    reads[0]?.reject(new Error('no database'));
    await expect(first).rejects.toThrow('no database');
    await new Promise((resolve) => setImmediate(resolve));
    reads[1]?.resolve(page(3));
    expect((await second).version).toBe(3);
  });
});
