import { describe, expect, it } from 'vitest';
import { ProviderError } from '#controller/contract.ts';
import type { CallOptions, ProviderVerdict } from '#controller/contract.ts';
import { silentLogger } from '#controller/log.ts';
import { createMetrics } from '#controller/metrics.ts';
import { createOptions } from '#controller/options.ts';
import type { Claim } from '#controller/store/rows.ts';
import { createFixedRng, createVirtualClock, settled } from '#controller/testing.ts';
import { createMemoryDatabase } from '#test/simulation/memory-store/database.ts';
import { createMemoryProviderStore } from '#test/simulation/memory-store/provider-store.ts';
import { createMemoryStores } from '#test/simulation/memory-store/stores.ts';
import { BreakerOpen, DeadlineExceeded, Frozen, ResidencyViolation, Throttled, createGateway } from './gateway.ts';
import type { GatewayCall, LateAnswer } from './gateway.ts';

const account = { provider: 'gcs', account: 'p1' };
const claim: Claim = { shard: 1, uid: 'u1', workspace: 'acme', kind: 'Bucket', epoch: 2, wakeSeq: 1, claimedAt: 0 };

/** A gateway over a store in memory, with time in the test's hand. */
function build(gatewayOptions: NonNullable<Parameters<typeof createOptions>[0]>['gateway'] = {}) {
  const clock = createVirtualClock();
  const rng = createFixedRng();
  const metrics = createMetrics();
  const db = createMemoryDatabase({ now: () => clock.now() });
  const probed: number[] = [];
  const usable: string[] = [];
  const providers = { ...createMemoryProviderStore(db), claimProbe: async () => claim };
  const { gateway: options } = createOptions({ gateway: gatewayOptions });
  const make = () => createGateway({ providers, clock, rng, options, log: silentLogger, metrics });
  /** A replica whose wall clock is off by `ms`. */
  const makeSkewed = (ms: number) => {
    const skewed = { ...clock, now: () => clock.now() + ms };
    const store = createMemoryStores(db).engine;
    return createGateway({ providers, store, clock: skewed, rng, options, log: silentLogger, metrics });
  };
  const gateway = make();
  const start = () =>
    gateway.start({
      holder: 'h',
      leaseMs: 15_000,
      onProbe: (_claim, claimSentAt) => void probed.push(claimSentAt),
      onUsable: (provider, name) => void usable.push(`${provider}/${name}`),
    });
  return { clock, gateway, make, makeSkewed, start, providers, probed, usable, metrics };
}

type Change = Partial<Omit<GatewayCall<string>, 'options'>> & { readonly options?: Partial<CallOptions<string>> };

function request({ options, ...rest }: Change = {}): GatewayCall<string> {
  return {
    options: { ...account, op: 'buckets.get', mutating: false, ...options },
    send: async () => 'reply',
    workspace: 'acme',
    kind: 'Bucket',
    uid: 'u1',
    maxCallMs: 30_000,
    probe: false,
    ...rest,
  };
}

function failing(verdict: ProviderVerdict, retryAfterMs?: number): () => Promise<string> {
  const detail = { verdict, reason: 'X', outcome: 'not-done', providerCode: '1' } as const;
  return async () => {
    throw new ProviderError('no', retryAfterMs === undefined ? detail : { ...detail, retryAfterMs });
  };
}

/** What a promise rejects with; listened to at once, for failures that come while time moves. */
function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'it resolved',
    (error: unknown) => error,
  );
}

/** Makes `times` calls end that way. */
async function fail({ gateway }: ReturnType<typeof build>, verdict: ProviderVerdict, times: number): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    await expect(gateway.call(request({ send: failing(verdict) }))).rejects.toThrow('no');
  }
}

describe('a call', () => {
  it('answers with the reply and is counted', async () => {
    const { gateway, metrics } = build();
    expect(await gateway.call(request())).toBe('reply');
    expect(await metrics.text()).toContain('provider_calls_total{provider="gcs",op="buckets.get",outcome="ok"} 1');
  });

  it('rejects with what the client threw, and with what `beforeSend` threw, then without sending', async () => {
    const { gateway } = build();
    let sent = 0;
    const lost = new Error('lease lost');
    const send = async (): Promise<string> => `${(sent += 1)}`;
    const beforeSend = (): Promise<void> => Promise.reject(lost);
    await expect(gateway.call(request({ send: failing('rejected') }))).rejects.toThrow(ProviderError);
    await expect(gateway.call(request({ send, beforeSend }))).rejects.toBe(lost);
    expect(sent).toBe(0);
  });

  it('is sent less than 2 s after `beforeSend` began, which is asked again if it was slow', async () => {
    const { clock, gateway } = build();
    const waits = [3_000, 100];
    const seen: string[] = [];
    const beforeSend = async (): Promise<void> => {
      seen.push('before');
      await clock.sleep(waits.shift() ?? 0);
    };
    const send = async (): Promise<string> => `${seen.push('send')}`;
    const answer = gateway.call(request({ beforeSend, send }));
    await clock.advance(3_100);
    expect(await answer).toBe('3');
    expect(seen).toEqual(['before', 'before', 'send']);
  });

  it('is given back unsent when `beforeSend` stays slow', async () => {
    const { clock, gateway } = build();
    let sent = 0;
    const send = async (): Promise<string> => `${(sent += 1)}`;
    const answer = gateway.call(request({ beforeSend: () => clock.sleep(2_000), send }));
    const failure = failureOf(answer);
    await clock.advance(60_000);
    expect(await failure).toBeInstanceOf(Throttled);
    expect(sent).toBe(0);
  });

  it('waits for a place when the account has as many calls under way as it may', async () => {
    const { gateway } = build({ concurrencyOf: { gcs: 2 } });
    const open: (() => void)[] = [];
    const send = (): Promise<string> => new Promise((resolve) => void open.push(() => resolve('late')));
    const calls = [1, 2, 3].map(() => gateway.call(request({ send })));
    await settled();
    expect(open).toHaveLength(2);
    open[0]?.();
    await calls[0];
    await settled();
    expect(open).toHaveLength(3);
  });
});

describe('the deadline', () => {
  it('is the shorter of the call’s and the kind’s, aborts the signal, and hands over the late answer', async () => {
    const { clock, gateway, metrics } = build();
    const late: LateAnswer<string>[] = [];
    let aborted = false;
    const send = async (signal: AbortSignal): Promise<string> => {
      signal.addEventListener('abort', () => (aborted = true));
      await clock.sleep(70_000);
      return 'order 7';
    };
    const answer = gateway.call(
      request({ send, options: { mutating: true, timeoutMs: 60_000 }, onLateAnswer: (one) => void late.push(one) }),
    );
    const failure = failureOf(answer);
    await clock.advance(29_999);
    expect(aborted).toBe(false);
    await clock.advance(1);
    expect(await failure).toMatchObject({ name: 'DeadlineExceeded', mutating: true });
    expect(aborted).toBe(true);
    expect(late).toEqual([]);
    await clock.advance(40_000);
    expect(late).toEqual([{ ok: true, reply: 'order 7' }]);
    expect(await metrics.text()).toContain('late_answers_total{provider="gcs",op="buckets.get"} 1');
  });

  it('tells a late failure as what it is', async () => {
    const { clock, gateway } = build();
    const late: LateAnswer<string>[] = [];
    const send = async (): Promise<string> => {
      await clock.sleep(50_000);
      throw new Error('reset');
    };
    const failure = failureOf(gateway.call(request({ send, onLateAnswer: (one) => void late.push(one) })));
    await clock.advance(50_000);
    expect(await failure).toBeInstanceOf(DeadlineExceeded);
    expect(late).toEqual([{ ok: false, error: new Error('reset') }]);
  });
});

describe('residency', () => {
  it.each(['northamerica-northeast1', 'NORTHAMERICA-NORTHEAST1', 'ca-central-1'])('lets %s pass', async (location) => {
    expect(await build().gateway.call(request({ options: { location } }))).toBe('reply');
  });

  it.each(['us-east1', 'US', 'northamerica', 'northamerica-northeast2', ''])(
    'refuses %j unsent, reads too',
    async (location) => {
      let sent = 0;
      const send = async (): Promise<string> => `${(sent += 1)}`;
      const answer = build().gateway.call(request({ send, options: { location } }));
      await expect(answer).rejects.toThrow(ResidencyViolation);
      expect(sent).toBe(0);
    },
  );
});

describe('the breaker', () => {
  it.each([
    ['unavailable', 5],
    ['credential', 3],
  ] as const)('opens after consecutive failures of %s: %i', async (cause, opensAt) => {
    const world = build();
    await fail(world, cause, opensAt - 1);
    expect(world.gateway.state('gcs', 'p1').breaker).toBe('closed');
    await fail(world, cause, 1);
    expect(world.gateway.state('gcs', 'p1')).toMatchObject({ breaker: 'open', cause });
    await expect(world.gateway.call(request())).rejects.toMatchObject({ name: 'BreakerOpen', ...account, cause });
  });

  it.each(['retryable', 'rejected'] as const)('never opens for answers that are %s', async (verdict) => {
    const world = build();
    await fail(world, verdict, 12);
    expect(world.gateway.state('gcs', 'p1').breaker).toBe('closed');
  });

  it('counts our own deadline as unavailability', async () => {
    const { clock, gateway } = build();
    const calls = Promise.allSettled(
      [1, 2, 3, 4, 5].map(() => gateway.call(request({ send: () => new Promise(() => undefined) }))),
    );
    await clock.advance(30_000);
    await calls;
    expect(gateway.state('gcs', 'p1').breaker).toBe('open');
  });

  it('starts counting anew after a success', async () => {
    const world = build();
    await fail(world, 'unavailable', 4);
    await world.gateway.call(request());
    await settled();
    await fail(world, 'unavailable', 4);
    expect(world.gateway.state('gcs', 'p1').breaker).toBe('closed');
  });

  it('leaves other accounts of the provider alone', async () => {
    const world = build();
    await fail(world, 'unavailable', 5);
    expect(await world.gateway.call(request({ options: { account: 'p2' } }))).toBe('reply');
  });

  it('lets a probe through; its success closes the breaker and says that the account is usable', async () => {
    const world = build();
    await world.start();
    await fail(world, 'unavailable', 5);
    expect(await world.gateway.call(request({ probe: true }))).toBe('reply');
    await settled();
    expect(world.usable).toEqual(['gcs/p1']);
    expect(await world.gateway.call(request())).toBe('reply');
    await world.gateway.stop();
  });

  it('is not closed over a credential by an answer that merely refuses the request', async () => {
    const world = build();
    await fail(world, 'credential', 3);
    await expect(world.gateway.call(request({ probe: true, send: failing('rejected') }))).rejects.toThrow('no');
    await settled();
    expect(world.gateway.state('gcs', 'p1').breaker).toBe('open');
  });

  it.each([
    ['unavailable', 5, 5_000],
    ['credential', 3, 30_000],
  ] as const)('is probed at most once per interval and replica while open over %s', async (cause, times, everyMs) => {
    const world = build();
    await world.start();
    await fail(world, cause, times);
    await world.clock.advance(everyMs * 10);
    expect(world.probed.length).toBeGreaterThanOrEqual(7);
    expect(world.probed.length).toBeLessThanOrEqual(10);
    const gaps = world.probed.slice(1).map((at, index) => at - (world.probed[index] ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(everyMs);
    await world.gateway.call(request({ probe: true }));
    const before = world.probed.length;
    await world.clock.advance(everyMs * 3);
    expect(world.probed).toHaveLength(before);
    await world.gateway.stop();
  });

  it('is seen by another replica within a refresh', async () => {
    const world = build();
    const other = world.make();
    await other.start();
    await fail(world, 'unavailable', 5);
    await world.clock.advance(1_000);
    await expect(other.call(request())).rejects.toThrow(BreakerOpen);
    await other.stop();
  });

  it('does not change the outcome of a call when the store cannot take the report', async () => {
    const world = build();
    world.providers.report = () => Promise.reject(new Error('database away'));
    await expect(world.gateway.call(request({ send: failing('unavailable') }))).rejects.toThrow('no');
    expect(await world.gateway.call(request())).toBe('reply');
  });
});

describe('a freeze', () => {
  it('stops mutations and never observation; its end makes the account usable', async () => {
    const world = build();
    await world.providers.freeze({ ...account, by: 'sre', why: 'storm', forMs: 10_000 });
    await world.start();
    await expect(world.gateway.call(request({ options: { mutating: true } }))).rejects.toMatchObject({
      name: 'Frozen',
      by: 'sre',
      why: 'storm',
    });
    expect(await world.gateway.call(request())).toBe('reply');
    await world.clock.advance(11_000);
    expect(await world.gateway.call(request({ options: { mutating: true } }))).toBe('reply');
    expect(world.usable).toEqual(['gcs/p1']);
    await world.gateway.stop();
  });

  it.each([-600_000, 600_000])(
    'ends by the database’s time, also where the wall clock is off by %i ms',
    async (skew) => {
      const world = build();
      await world.providers.freeze({ ...account, by: 'sre', why: 'storm', forMs: 60_000 });
      await world.providers.block({ ...account, forMs: 5_000 });
      const gateway = world.makeSkewed(skew);
      await gateway.start();
      expect(gateway.state('gcs', 'p1').blockedForMs).toBe(5_000);
      await world.clock.advance(59_000);
      expect(gateway.state('gcs', 'p1')).toMatchObject({ blockedForMs: 0, frozen: { by: 'sre' } });
      await world.clock.advance(1_000);
      expect(gateway.state('gcs', 'p1').frozen).toBe(null);
      await gateway.stop();
    },
  );

  it('refuses with Frozen, which names nobody else', () => {
    expect(new Frozen('sre', 'why').message).not.toContain('sre');
  });
});

describe('a 429 of the provider', () => {
  it('is Throttled with its Retry-After and holds the account here and on other replicas', async () => {
    const world = build();
    const other = world.make();
    await other.start();
    const answer = world.gateway.call(request({ send: failing('throttled', 7_000) }));
    await expect(answer).rejects.toMatchObject({ name: 'Throttled', retryAfterMs: 7_000 });
    await expect(world.gateway.call(request())).rejects.toThrow(Throttled);
    await world.clock.advance(1_000);
    await expect(other.call(request())).rejects.toThrow(Throttled);
    await world.clock.advance(6_000);
    expect(await world.gateway.call(request())).toBe('reply');
    expect(await other.call(request())).toBe('reply');
    await other.stop();
  });

  it('holds for a while when it names no time, and never longer than the limit', async () => {
    const world = build({ blockMaxMs: 60_000 });
    const first = world.gateway.call(request({ send: failing('throttled') }));
    await expect(first).rejects.toMatchObject({ retryAfterMs: 2_000 });
    await world.clock.advance(2_000);
    const second = world.gateway.call(request({ send: failing('throttled', 1e9) }));
    await expect(second).rejects.toMatchObject({ retryAfterMs: 60_000 });
  });

  it('never shortens a longer hold', async () => {
    const world = build();
    const calls = [9_000, 1_000].map((ms) =>
      failureOf(world.gateway.call(request({ send: failing('throttled', ms) }))),
    );
    await Promise.all(calls);
    expect(world.gateway.state('gcs', 'p1').blockedForMs).toBe(9_000);
  });

  it('of calls under way together is one hold, told to the store once', async () => {
    const world = build();
    const block = world.providers.block.bind(world.providers);
    let told = 0;
    world.providers.block = (input) => {
      told += 1;
      return block(input);
    };
    const calls = [1, 2, 3, 4].map(() => failureOf(world.gateway.call(request({ send: failing('throttled', 7_000) }))));
    expect((await Promise.all(calls)).every((error) => error instanceof Throttled)).toBe(true);
    expect(told).toBe(1);
  });

  it('whose effect is unknown stays what it is', async () => {
    const { gateway } = build();
    const send = (): Promise<string> =>
      Promise.reject(
        new ProviderError('slow down', {
          verdict: 'throttled',
          reason: 'RateLimited',
          outcome: 'unknown',
          providerCode: '429',
        }),
      );
    await expect(gateway.call(request({ send }))).rejects.toThrow(ProviderError);
    expect(gateway.state('gcs', 'p1').blockedForMs).toBe(2_000);
  });
});

describe('slots', () => {
  it('are held during the call only, and none free means Throttled', async () => {
    const { clock, gateway } = build({ slotsOf: { gcs: 1 } });
    const send = async (): Promise<string> => {
      await clock.sleep(500);
      return 'slow';
    };
    const first = gateway.call(request({ send }));
    await settled();
    await expect(gateway.call(request())).rejects.toThrow(Throttled);
    await clock.advance(500);
    expect(await first).toBe('slow');
    expect(await gateway.call(request())).toBe('reply');
  });

  it('are given back when the deadline passes', async () => {
    const { clock, gateway } = build({ slotsOf: { gcs: 1 } });
    const failure = failureOf(gateway.call(request({ send: () => new Promise(() => undefined) })));
    await clock.advance(30_000);
    expect(await failure).toBeInstanceOf(DeadlineExceeded);
    expect(await gateway.call(request())).toBe('reply');
  });

  it('that cannot be given back do not change the outcome of the call', async () => {
    const world = build({ slotsOf: { gcs: 1 } });
    world.providers.giveSlot = () => Promise.reject(new Error('database away'));
    expect(await world.gateway.call(request())).toBe('reply');
  });
});

it('starts while the store is away, and learns the state once it is back', async () => {
  const world = build();
  const here = world.providers.providers.bind(world.providers);
  world.providers.providers = () => Promise.reject(new Error('database away'));
  await world.providers.freeze({ ...account, by: 'sre', why: 'storm', forMs: null });
  await world.start();
  expect(world.gateway.state('gcs', 'p1').frozen).toBe(null);
  world.providers.providers = here;
  await world.clock.advance(5_000);
  expect(world.gateway.state('gcs', 'p1').frozen).toEqual({ by: 'sre', why: 'storm' });
  await world.gateway.stop();
});
