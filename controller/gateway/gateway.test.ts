import { describe, expect, it } from 'vitest';
import { ProviderError } from '#controller/contract.ts';
import { settled } from '#controller/testing.ts';
import { account, build, failing, failureOf, request } from './testing.ts';
import { DeadlineExceeded, ResidencyViolation, Throttled } from './gateway.ts';
import type { LateAnswer } from './gateway.ts';

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
