import { describe, expect, it } from 'vitest';
import { silentLogger } from '#controller/log.ts';
import { createMetrics } from '#controller/metrics.ts';
import { createOptions } from '#controller/options.ts';
import type { ReplayStore } from '#controller/store/replay-store.ts';
import { createVirtualClock } from '#controller/testing.ts';
import { testKinds } from '#resources/testing.ts';
import { createReplayTask } from './replay-task.ts';

type Store = Pick<ReplayStore, 'engineLease' | 'engineFill' | 'engineAsk' | 'engineCheck'>;

/** One replay of `items` rows, whose passes come at once; it notes what the leader asks of it. */
function build(input: { items: number; ratePerSecond: number }) {
  const clock = createVirtualClock();
  const { replay: options } = createOptions();
  const state = { waiting: input.items, state: 'filling' as 'filling' | 'running' | 'suspended' | 'done' };
  let lease = { holder: '', until: 0 };
  const filled: number[] = [];
  const asked: { at: number; count: number }[] = [];
  const store: Store = {
    async engineLease(holder, leaseMs) {
      const now = clock.now();
      if (state.state === 'done' || (lease.holder !== holder && lease.until > now)) return null;
      lease = { holder, until: now + leaseMs };
      const { ratePerSecond } = input;
      return { id: 'r1', state: state.state, ratePerSecond, filledThrough: filled.at(-1) ?? -1 };
    },
    async engineFill({ shard }) {
      filled.push(shard);
      if (shard === 63) state.state = 'running';
      return 0;
    },
    async engineAsk({ count }) {
      const now = Math.min(count, state.waiting);
      state.waiting -= now;
      if (now > 0) asked.push({ at: clock.monotonic(), count: now });
      return now;
    },
    async engineCheck() {
      if (state.waiting === 0) state.state = 'done';
      return state.waiting;
    },
  };
  const lead = (holder: string, replays: Store = store) =>
    createReplayTask({
      replays,
      kinds: testKinds,
      holder,
      clock,
      log: silentLogger,
      metrics: createMetrics(),
      options,
    });
  const total = () => asked.reduce((sum, one) => sum + one.count, 0);
  return { clock, state, store, filled, asked, total, lead };
}

describe('leading a replay', () => {
  it('fills all shards in order, then asks at the rate and never above it', async () => {
    const world = build({ items: 1_000, ratePerSecond: 50 });
    const task = world.lead('a');
    await task.start();
    await world.clock.advance(10_000);
    expect(world.filled).toEqual(Array.from({ length: 64 }, (_, shard) => shard));
    expect(world.total()).toBeGreaterThanOrEqual(480);
    expect(world.total()).toBeLessThanOrEqual(500);
    await world.clock.advance(15_000);
    expect(world.state.state).toBe('done');
    await task.stop();
  });

  it('holds a slow rate too', async () => {
    const world = build({ items: 1_000, ratePerSecond: 1 });
    const task = world.lead('a');
    await task.start();
    await world.clock.advance(60_000);
    expect(world.total()).toBeGreaterThanOrEqual(58);
    expect(world.total()).toBeLessThanOrEqual(60);
    await task.stop();
  });

  it('does not make up for the time in which a rank had to wait', async () => {
    const world = build({ items: 1_000, ratePerSecond: 50 });
    const task = world.lead('a');
    await task.start();
    const ask = world.store.engineAsk.bind(world.store);
    world.store.engineAsk = async () => 0;
    await world.clock.advance(30_000);
    world.store.engineAsk = ask;
    await world.clock.advance(1_000);
    expect(world.total()).toBeLessThanOrEqual(60);
    await task.stop();
  });

  it('is left to one leader; another goes on where it stood when that one dies', async () => {
    const world = build({ items: 1_000, ratePerSecond: 50 });
    // A crash is not a stop: no promise of the dead leader's store settles again.
    let dead = false;
    const mortal = new Proxy(world.store, {
      get: (store, name: keyof Store) => (dead ? () => new Promise(() => undefined) : store[name].bind(store)),
    });
    await world.lead('a', mortal).start();
    const other = world.lead('b');
    await other.start();
    await world.clock.advance(5_000);
    const before = world.total();
    expect(before).toBeLessThanOrEqual(250);
    dead = true;
    await world.clock.advance(10_000);
    expect(world.total()).toBeLessThanOrEqual(before + 5);
    await world.clock.advance(20_000);
    expect(world.state.state).toBe('done');
    expect(world.filled).toHaveLength(64);
    await other.stop();
  });

  it('rests while the replay is suspended', async () => {
    const world = build({ items: 1_000, ratePerSecond: 50 });
    const task = world.lead('a');
    await task.start();
    await world.clock.advance(1_000);
    world.state.state = 'suspended';
    await world.clock.advance(3_000);
    const before = world.total();
    await world.clock.advance(30_000);
    expect(world.total()).toBe(before);
    await task.stop();
  });

  it('tells the store the ranks of the kinds and which are done once', async () => {
    const world = build({ items: 0, ratePerSecond: 50 });
    const seen: Parameters<Store['engineFill']>[0][] = [];
    const fill = world.store.engineFill.bind(world.store);
    world.store.engineFill = (given) => {
      seen.push(given);
      return fill(given);
    };
    const task = world.lead('a');
    await task.start();
    await world.clock.advance(1_000);
    expect(seen[0]).toMatchObject({ ranks: { Workspace: 0, Note: 1, Letter: 1 }, onceKinds: ['Letter'] });
    await task.stop();
  });
});
