import { describe, expect, it } from 'vitest';
import { createOptions } from '#controller/options.ts';
import { createVirtualClock } from '#controller/testing.ts';
import { createMemoryDatabase } from '#test/simulation/memory-store/database.ts';
import { createMemoryProviderStore } from '#test/simulation/memory-store/provider-store.ts';
import { budgetsOf, wakeRate } from './budgets.ts';
import { Throttled } from './errors.ts';
import { createTokens } from './tokens.ts';

const name = { provider: 'gcs', account: 'p1' };
const budget = { name: 'gcs', ratePerSecond: 50, burst: 100 };

function build() {
  const clock = createVirtualClock();
  const { gateway: options } = createOptions();
  const store = createMemoryProviderStore(createMemoryDatabase({ now: () => clock.now() }));
  const asked: number[] = [];
  const providers = {
    takeTokens: (input: Parameters<typeof store.takeTokens>[0]) => {
      asked.push(input.want);
      return store.takeTokens(input);
    },
  };
  const make = () => createTokens({ providers, clock, options });
  return { clock, asked, make, tokens: make() };
}

/** Tries `count` times; answers how many were granted, and the waits told to the rest. */
async function take({ tokens }: Pick<ReturnType<typeof build>, 'tokens'>, count: number, budgets = [budget]) {
  const waits: number[] = [];
  for (let n = 0; n < count; n += 1) {
    await tokens.take(name, budgets).catch((error: unknown) => {
      if (!(error instanceof Throttled)) throw error;
      waits.push(error.retryAfterMs);
    });
  }
  return { granted: count - waits.length, waits };
}

describe('tokens', () => {
  it('let a burst pass and then refuse', async () => {
    const world = build();
    expect((await take(world, 300)).granted).toBe(100);
  });

  it('never exceed burst + rate × time, over three replicas', async () => {
    const world = build();
    const replicas = [world.tokens, world.make(), world.make()];
    let granted = 0;
    for (let step = 0; step < 100; step += 1) {
      for (const tokens of replicas) granted += (await take({ tokens }, 10)).granted;
      await world.clock.advance(100);
    }
    expect(granted).toBeLessThanOrEqual(100 + 50 * 10);
    expect(granted).toBeGreaterThan((100 + 50 * 10) * 0.85);
  });

  it('are leased in growing batches, so that a busy process asks the store about once a second', async () => {
    const world = build();
    for (let step = 0; step < 100; step += 1) {
      await take(world, 4);
      await world.clock.advance(100);
    }
    expect(world.asked.length).toBeLessThan(30);
  });

  it('that nobody used are forgotten after 2 s', async () => {
    const world = build();
    await take(world, 40);
    await world.clock.advance(1_000);
    await take(world, 1);
    const before = world.asked.length;
    await take(world, 1);
    expect(world.asked).toHaveLength(before);
    await world.clock.advance(2_000);
    await take(world, 1);
    expect(world.asked).toHaveLength(before + 1);
  });

  it('tell refused calls different times, spread at the rate and never over half a minute', async () => {
    const world = build();
    const slow = { name: 'gcs:buckets', ratePerSecond: 0.4, burst: 1 };
    const { waits } = await take(world, 21, [slow]);
    expect(waits.slice(0, 3)).toEqual([2_500, 5_000, 7_500]);
    expect(Math.max(...waits)).toBe(30_000);
  });

  it('are taken of every budget or of none', async () => {
    const world = build();
    const scarce = { name: 'gcs:buckets', ratePerSecond: 0.4, burst: 2 };
    expect((await take(world, 50, [budget, scarce])).granted).toBe(2);
    expect((await take(world, 200)).granted).toBe(98);
  });

  it('wait for a lease under way instead of asking twice', async () => {
    const world = build();
    await Promise.all([1, 2, 3, 4].map(() => world.tokens.take(name, [budget])));
    expect(world.asked).toHaveLength(2);
  });

  it('are refused when the store is away, with its error', async () => {
    const { clock } = build();
    const providers = { takeTokens: () => Promise.reject(new Error('database away')) };
    const tokens = createTokens({ providers, clock, options: createOptions().gateway });
    await expect(tokens.take(name, [budget])).rejects.toThrow('database away');
  });
});

describe('budgets', () => {
  const options = createOptions({ gateway: { budgets: { 'gcs:buckets': { ratePerSecond: 9, burst: 9 } } } }).gateway;
  const standard = createOptions().gateway;

  it.each([
    [{ provider: 'gcs', op: 'buckets.get', mutating: false }, ['gcs']],
    [{ provider: 'gcs', op: 'buckets.insert', mutating: true }, ['gcs', 'gcs:buckets']],
    [{ provider: 'gcs', op: 'buckets.delete', mutating: true }, ['gcs', 'gcs:buckets']],
    [{ provider: 'gcs', op: 'buckets.patch', mutating: true }, ['gcs']],
    [{ provider: 'iam', op: 'serviceAccounts.create', mutating: true }, ['iam', 'iam:writes']],
    [{ provider: 'ses', op: 'sendEmail', mutating: true }, ['ses']],
    [{ provider: 'unheard-of', op: 'x', mutating: true }, ['unheard-of']],
  ])('of %j are %j', (call, names) => {
    expect(budgetsOf(call, standard).map((one) => one.name)).toEqual(names);
  });

  it('follow the settings where they name one', () => {
    const call = { provider: 'gcs', op: 'buckets.insert', mutating: true };
    expect(budgetsOf(call, standard)[1]).toMatchObject({ ratePerSecond: 0.4, burst: 4 });
    expect(budgetsOf(call, options)[1]).toMatchObject({ ratePerSecond: 9, burst: 9 });
  });

  it('tell how fast rows of an account may be woken', () => {
    expect(wakeRate('coolify', standard)).toBe(3);
    expect(wakeRate('gcs', standard)).toBe(50);
  });
});
