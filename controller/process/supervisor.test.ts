import { describe, expect, it } from 'vitest';
import { silentLogger } from '#controller/log.ts';
import { createMetrics } from '#controller/metrics.ts';
import { createLoop, createSupervisor } from './supervisor.ts';
import type { Service } from './supervisor.ts';
import { createVirtualClock } from '#controller/testing.ts';

function build(services: (events: string[]) => readonly Partial<Service>[]) {
  const clock = createVirtualClock();
  const events: string[] = [];
  const full = services(events).map((service, index) => {
    const name = `s${index}`;
    return {
      name,
      start: async () => void events.push(`start ${name}`),
      stop: async () => void events.push(`stop ${name}`),
      ...service,
    };
  });
  const input = { services: full, clock, log: silentLogger, stopMs: 15_000, serviceStopMs: 12_000 };
  return { clock, events, supervisor: createSupervisor(input) };
}

describe('the supervisor', () => {
  it('starts in order and stops in reverse', async () => {
    const { supervisor, events } = build(() => [{}, {}]);
    await supervisor.start();
    expect(await supervisor.stop()).toEqual([]);
    expect(events).toEqual(['start s0', 'start s1', 'stop s1', 'stop s0']);
  });

  it('stops what it had started when one fails to start, that one too, and says why', async () => {
    const { supervisor, events } = build(() => [{}, { start: () => Promise.reject(new Error('port taken')) }, {}]);
    await expect(supervisor.start()).rejects.toThrow('port taken');
    expect(events).toEqual(['start s0', 'stop s1', 'stop s0']);
  });

  it('leaves behind what does not stop in time, and ends within its bound', async () => {
    const hung = { stop: () => new Promise<void>(() => undefined) };
    const { supervisor, clock } = build(() => [hung, {}, hung]);
    await supervisor.start();
    const startedAt = clock.monotonic();
    let endedAt = 0;
    const left = supervisor.stop().then((names) => {
      endedAt = clock.monotonic();
      return names;
    });
    await clock.advance(60_000);
    expect(await left).toEqual(['s2', 's0']);
    expect(endedAt - startedAt).toBe(15_000);
  });

  it('names a service whose stop fails, and goes on', async () => {
    const { supervisor, events } = build(() => [{}, { stop: () => Promise.reject(new Error('no')) }]);
    await supervisor.start();
    expect(await supervisor.stop()).toEqual(['s1']);
    expect(events).toContain('stop s0');
  });

  it('stops once, however often it is asked', async () => {
    const { supervisor, events } = build(() => [{}]);
    await supervisor.start();
    await Promise.all([supervisor.stop(), supervisor.stop()]);
    expect(events.filter((event) => event === 'stop s0')).toHaveLength(1);
  });
});

describe('a loop', () => {
  function loop(step: (signal: AbortSignal) => Promise<number | null>) {
    const clock = createVirtualClock();
    const metrics = createMetrics();
    const service = createLoop({ name: 'test', clock, log: silentLogger, metrics, retryMs: 100, step });
    return { clock, metrics, service };
  }

  it('repeats its step until it is stopped, waiting what the step says', async () => {
    const at: number[] = [];
    const { clock, service } = loop(async () => (at.push(clock.monotonic() - 1_000) === 1 ? 5_000 : 1_000));
    await service.start();
    await clock.advance(7_500);
    await service.stop();
    await clock.advance(60_000);
    expect(at).toEqual([0, 5_000, 6_000, 7_000]);
  });

  it('ends when its step says so', async () => {
    const at: number[] = [];
    const { clock, service } = loop(async () => (at.push(clock.monotonic()) === 2 ? null : 10));
    await service.start();
    await clock.advance(60_000);
    expect(at).toHaveLength(2);
    await service.stop();
  });

  it('tries a failed step again, ever later, and is not ended by it', async () => {
    const at: number[] = [];
    const { clock, metrics, service } = loop(() => {
      at.push(clock.monotonic() - 1_000);
      return Promise.reject(new Error('no'));
    });
    await service.start();
    await clock.advance(20_000);
    await service.stop();
    expect(at).toEqual([0, 100, 300, 700, 1_500, 3_100, 6_100, 9_100, 12_100, 15_100, 18_100]);
    expect(await metrics.text()).toContain('vibn_task_failures_total{task="test"} 11');
  });

  it('goes on at once when kicked, in its wait or during its step', async () => {
    const at: number[] = [];
    const { clock, service } = loop(async () => {
      if (at.push(clock.monotonic() - 1_000) === 2) service.kick();
      return 1_000;
    });
    await service.start();
    await clock.advance(300);
    service.kick();
    await clock.advance(1_300);
    await service.stop();
    expect(at).toEqual([0, 300, 300, 1_300]);
  });

  it('waits at its stop for the step under way', async () => {
    let release = (): void => undefined;
    const { service } = loop(() => new Promise((resolve) => (release = () => resolve(1))));
    await service.start();
    let stopped = false;
    const stop = service.stop().then(() => (stopped = true));
    expect(stopped).toBe(false);
    release();
    await stop;
    expect(stopped).toBe(true);
  });
});
