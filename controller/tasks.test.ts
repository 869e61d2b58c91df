import { describe, expect, it } from 'vitest';
import { silentLogger } from './log.ts';
import { createMetrics } from './metrics.ts';
import { createOptions } from './options.ts';
import { createSweep } from './sweep.ts';
import { createAnnouncement, createDrain, createFiring } from './tasks.ts';
import { createFixedRng, createVirtualClock } from './testing.ts';
import { createMemoryDatabase } from '#test/simulation/memory-store/database.ts';
import { createMemoryEngineStore } from '#test/simulation/memory-store/engine-store.ts';

const shards = Array.from({ length: 64 }, (_, shard) => shard);

/** A store that notes what it is asked; every shard has `listeners` rows waiting. */
function build(listeners = 0) {
  const clock = createVirtualClock();
  const fired: { topic: string; shard: number; rowMs: number; at: number }[] = [];
  const store = createMemoryEngineStore(createMemoryDatabase({ now: () => clock.now() }));
  const engine = {
    ...store,
    fire: async (shard: number, topics: readonly string[], rowMs: number) => {
      for (const topic of topics) fired.push({ topic, shard, rowMs, at: clock.monotonic() });
      return listeners;
    },
    drain: async (_shard: number, _limit: number) => false,
    drainingShards: async (): Promise<readonly number[]> => [],
    registerEngine: async (_build: string) => true,
  };
  const providers = { registerCredential: async (_credential: { digest: string }) => true };
  const { tasks: options } = createOptions();
  return {
    clock,
    fired,
    engine,
    providers,
    input: { engine, providers, clock, log: silentLogger, metrics: createMetrics(), options },
  };
}

describe('firing a topic', () => {
  it('reaches each shard once', async () => {
    const world = build();
    const firing = createFiring(world.input);
    await firing.start();
    firing.fire('engine', 50);
    await world.clock.advance(10_000);
    expect(world.fired.map((one) => one.shard)).toEqual(shards);
    await firing.stop();
  });

  it('wakes rows no faster than the account takes them, in a shard and over all', async () => {
    const world = build(100);
    const firing = createFiring(world.input);
    await firing.start();
    firing.fire('provider:gcs/p', 50);
    await world.clock.advance(64 * 2_000);
    expect(world.fired.map((one) => one.shard)).toEqual(shards);
    expect(world.fired[1]).toMatchObject({ rowMs: 20 });
    expect((world.fired.at(-1)?.at ?? 0) - (world.fired[0]?.at ?? 0)).toBe(63 * 2_000);
    await firing.stop();
  });

  it('does not hold up a lone row', async () => {
    const world = build(1);
    const firing = createFiring(world.input);
    await firing.start();
    firing.fire('provider:gcs/p', 50);
    await world.clock.advance(2_000);
    expect(world.fired).toHaveLength(64);
    await firing.stop();
  });

  it('leaves no shard out when the store fails', async () => {
    const world = build();
    const { fire } = world.engine;
    let failures = 3;
    world.engine.fire = (...given) =>
      given[0] === 40 && failures-- > 0 ? Promise.reject(new Error('away')) : fire(...given);
    const firing = createFiring(world.input);
    await firing.start();
    firing.fire('engine', 50);
    await world.clock.advance(60_000);
    expect(world.fired.map((one) => one.shard)).toEqual(shards);
    await firing.stop();
  });

  it('is gone on with by another replica when one dies with it', async () => {
    const world = build();
    const { fire } = world.engine;
    const mortal = createFiring({
      ...world.input,
      engine: { ...world.engine, fire: (...given) => (given[0] < 7 ? fire(...given) : new Promise(() => undefined)) },
    });
    await mortal.start();
    mortal.fire('engine', 50);
    await world.clock.advance(1_000);
    expect(world.fired).toHaveLength(7);
    const other = createFiring(world.input);
    await other.start();
    await world.clock.advance(20_000);
    expect(world.fired.map((one) => one.shard)).toEqual(shards);
    await other.stop();
  });

  it('is not lost while the store does not take what is asked', async () => {
    const world = build();
    let failures = 3;
    const askFiring: typeof world.engine.askFiring = (...given) =>
      failures-- > 0 ? Promise.reject(new Error('away')) : world.engine.askFiring(...given);
    const firing = createFiring({ ...world.input, engine: { ...world.engine, askFiring } });
    await firing.start();
    firing.fire('engine', 50);
    await world.clock.advance(60_000);
    expect(world.fired.map((one) => one.shard)).toEqual(shards);
    await firing.stop();
  });

  it('goes on when it is asked again meanwhile, and once round from there', async () => {
    const world = build();
    const { fire } = world.engine;
    const firing = createFiring(world.input);
    world.engine.fire = (...given) => {
      if (given[0] === 10 && world.fired.length === 10) firing.fire('engine', 50);
      return fire(...given);
    };
    await firing.start();
    firing.fire('engine', 50);
    await world.clock.advance(60_000);
    expect(world.fired.map((one) => one.shard)).toEqual([...shards, ...shards.slice(0, 11)]);
    await firing.stop();
  });

  it('that the store was asked for is begun at once', async () => {
    const world = build();
    const firing = createFiring(world.input);
    await firing.start();
    await world.clock.advance(100);
    await world.engine.askFiring('engine', 50);
    firing.carryOn();
    await world.clock.advance(1_000);
    expect(world.fired.map((one) => one.shard)).toEqual(shards);
    await firing.stop();
  });

  it('of one slow account does not hold up another topic', async () => {
    const world = build(1_000);
    const firing = createFiring(world.input);
    await firing.start();
    firing.fire('provider:gcs/slow', 1);
    await world.clock.advance(10);
    firing.fire('provider:gcs/fast', 1_000_000);
    await world.clock.advance(5_000);
    expect(world.fired.filter((one) => one.topic === 'provider:gcs/fast')).toHaveLength(64);
    expect(world.fired.filter((one) => one.topic === 'provider:gcs/slow')).toHaveLength(1);
    await firing.stop();
  });
});

describe('announcing this process', () => {
  /** When it told that something was asked for in the store, and when it asked for a topic again, in s. */
  async function announce(world: ReturnType<typeof build>, forMs = 30_000) {
    const [told, asked]: [number[], string[]] = [[], []];
    const credentials = [{ provider: 'gcs', account: 'p1', digest: 'd1' }];
    const started = world.clock.monotonic();
    const seconds = (): number => Math.floor((world.clock.monotonic() - started) / 1_000);
    const firing = {
      carryOn: () => void told.push(seconds()),
      fire: (name: string) => void asked.push(`${name} ${seconds()}`),
    };
    const task = createAnnouncement({ ...world.input, firing, buildId: 'b1', credentials, ratePerSecond: 50 });
    await task.start();
    await world.clock.advance(forMs);
    await task.stop();
    return { told, asked };
  }

  it('has what waits for a build and a credential not seen before fired', async () => {
    expect(await announce(build())).toEqual({ told: [0, 0], asked: [] });
  });

  it('fires nothing for what is known', async () => {
    const world = build();
    world.engine.registerEngine = async () => false;
    world.providers.registerCredential = async () => false;
    expect(await announce(world, 600_000)).toEqual({ told: [], asked: [] });
  });

  it('goes on until the store answers', async () => {
    const world = build();
    let failures = 2;
    world.engine.registerEngine = async () => {
      if (failures-- > 0) throw new Error('away');
      return true;
    };
    expect((await announce(world)).told).toHaveLength(2);
  });

  it('asks for what waits for a new build again for a while: one of before may have taken it, and failed again', async () => {
    const { asked } = await announce(build(), 3_600_000);
    expect(asked).toEqual([60, 120, 180, 240, 300].map((at) => `engine ${at}`));
  });
});

it('draining goes on in chunks while more is left, and then looks only now and then', async () => {
  const world = build();
  let left = 3;
  const drained: number[] = [];
  let looks = 0;
  world.engine.drainingShards = async () => {
    looks += 1;
    return left > 0 ? [7] : [];
  };
  world.engine.drain = async (shard, limit) => {
    drained.push(shard, limit);
    left -= 1;
    return left > 0;
  };
  const drain = createDrain(world.input);
  await drain.start();
  await world.clock.advance(900);
  expect(drained).toEqual([7, 500, 7, 500, 7, 500]);
  expect(looks).toBe(3);
  await world.clock.advance(10_000);
  expect(looks).toBeLessThanOrEqual(13);
  await drain.stop();
});

describe('sweeping', () => {
  function sweep(trimmed: (shard: number) => number) {
    const clock = createVirtualClock();
    const swept: number[] = [];
    const engine = {
      sweep: async (shard: number) => {
        swept.push(shard);
        return trimmed(shard);
      },
    };
    const { sweep: options } = createOptions({ sweep: { everyMs: 64_000 } });
    const rng = createFixedRng([0.25]);
    const service = createSweep({ engine, clock, rng, log: silentLogger, metrics: createMetrics(), options });
    return { clock, swept, service };
  }

  it('visits every shard once a round, evenly, from a shard of its own', async () => {
    const { clock, swept, service } = sweep(() => 0);
    await service.start();
    await clock.advance(63_500);
    expect(swept).toEqual([...shards.slice(16), ...shards.slice(0, 16)]);
    await service.stop();
  });

  it('takes more batches of a full shard, but does not stay there', async () => {
    const { clock, swept, service } = sweep((shard) => (shard === 17 ? 500 : 0));
    await service.start();
    await clock.advance(3_500);
    expect(swept.filter((shard) => shard === 17)).toHaveLength(20);
    expect(swept.at(-1)).toBe(18);
    await service.stop();
  });
});
