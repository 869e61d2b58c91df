import { expect } from 'vitest';
import { ProviderError } from '#controller/contract.ts';
import type { CallOptions, ProviderVerdict } from '#controller/contract.ts';
import { silentLogger } from '#controller/log.ts';
import { createMetrics } from '#controller/metrics.ts';
import { createOptions } from '#controller/options.ts';
import type { Claim } from '#controller/store/rows.ts';
import { createFixedRng, createVirtualClock } from '#controller/testing.ts';
import { createMemoryDatabase } from '#test/simulation/memory-store/database.ts';
import { createMemoryProviderStore } from '#test/simulation/memory-store/provider-store.ts';
import { createMemoryStores } from '#test/simulation/memory-store/stores.ts';
import { createGateway } from './gateway.ts';
import type { GatewayCall } from './gateway.ts';

/** What tests of the gateway share. */
export const account = { provider: 'gcs', account: 'p1' };
const claim: Claim = { shard: 1, uid: 'u1', workspace: 'acme', kind: 'Bucket', epoch: 2, wakeSeq: 1, claimedAt: 0 };

/** A gateway over a store in memory, with time in the test's hand. */
export function build(gatewayOptions: NonNullable<Parameters<typeof createOptions>[0]>['gateway'] = {}) {
  const clock = createVirtualClock();
  const rng = createFixedRng();
  const metrics = createMetrics();
  const db = createMemoryDatabase({ now: () => clock.now() });
  const probed: number[] = [];
  const thawed: string[] = [];
  const closed: string[] = [];
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
      kinds: [claim.kind],
      onProbe: (_claim, claimSentAt) => void probed.push(claimSentAt),
      onThawed: (provider, name) => void thawed.push(`${provider}/${name}`),
      onClosed: (provider, name) => void closed.push(`${provider}/${name}`),
    });
  return { clock, gateway, make, makeSkewed, start, providers, probed, thawed, closed, metrics };
}

type Change = Partial<Omit<GatewayCall<string>, 'options'>> & { readonly options?: Partial<CallOptions<string>> };

export function request({ options, ...rest }: Change = {}): GatewayCall<string> {
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

export function failing(verdict: ProviderVerdict, retryAfterMs?: number): () => Promise<string> {
  const detail = { verdict, reason: 'X', outcome: 'not-done', providerCode: '1' } as const;
  return async () => {
    throw new ProviderError('no', retryAfterMs === undefined ? detail : { ...detail, retryAfterMs });
  };
}

/** What a promise rejects with; listened to at once, for failures that come while time moves. */
export function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'it resolved',
    (error: unknown) => error,
  );
}

/** Makes `times` calls end that way. */
export async function fail(
  { gateway }: ReturnType<typeof build>,
  verdict: ProviderVerdict,
  times: number,
): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    await expect(gateway.call(request({ send: failing(verdict) }))).rejects.toThrow('no');
  }
}
