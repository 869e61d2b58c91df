import { describe, expect, it, vi } from 'vitest';
import { ProviderError } from '#controller/contract.ts';
import { settled } from '#controller/testing.ts';
import { account, build, fail, failing, failureOf, request } from './testing.ts';
import { BreakerOpen, Frozen, Throttled } from './gateway.ts';

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

  it('does not count calls that hang while others are answered', async () => {
    const { clock, gateway } = build();
    const hang = (): Promise<unknown> =>
      Promise.allSettled(
        [1, 2, 3, 4, 5].map(() => gateway.call(request({ send: () => new Promise(() => undefined) }))),
      );
    const hanging = hang();
    await clock.advance(10_000);
    await gateway.call(request());
    await clock.advance(20_000);
    await hanging;
    expect(gateway.state('gcs', 'p1').breaker).toBe('closed');
    const alone = hang();
    await clock.advance(30_000);
    await alone;
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

  it('lets a probe through; its success closes the breaker and says so', async () => {
    const world = build();
    await world.start();
    await fail(world, 'unavailable', 5);
    expect(await world.gateway.call(request({ probe: true }))).toBe('reply');
    await settled();
    expect([world.closed, world.thawed]).toEqual([['gcs/p1'], []]);
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

  it('that another replica has closed refuses nothing any more, and costs the store few looks while it is open', async () => {
    const world = build();
    const other = world.make();
    await fail(world, 'unavailable', 5);
    await other.start();
    const looks = vi.spyOn(world.providers, 'providers');
    for (let n = 0; n < 50; n += 1) await expect(other.call(request())).rejects.toBeInstanceOf(BreakerOpen);
    expect(looks).toHaveBeenCalledTimes(1);
    await world.gateway.call(request({ probe: true }));
    await settled();
    await world.clock.advance(150);
    expect(await other.call(request())).toBe('reply');
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
  it('stops mutations and never observation; its end is told', async () => {
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
    expect([world.closed, world.thawed]).toEqual([[], ['gcs/p1']]);
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

  it('that was seen by a report only, and ended before the next refresh, is told too', async () => {
    const world = build();
    await world.start();
    await fail(world, 'unavailable', 1);
    await world.providers.freeze({ ...account, by: 'sre', why: 'an incident', forMs: null });
    await fail(world, 'unavailable', 1);
    expect(world.gateway.state('gcs', 'p1').frozen).not.toBeNull();
    await world.providers.thaw(account);
    await world.clock.advance(1_000);
    expect([world.closed, world.thawed]).toEqual([[], ['gcs/p1']]);
  });

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
