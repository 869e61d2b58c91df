import type { Clock, Rng } from './clock.ts';

/** A clock that stands still until it is moved; for tests only. */
export interface VirtualClock extends Clock {
  /** Moves time by `ms`, running what falls due on the way in its order, and lets promises settle in between. */
  advance(ms: number): Promise<void>;
}

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** Wall and monotonic time start apart, so that mixing them up shows. */
export function createVirtualClock(startMs = Date.UTC(2026, 10, 20, 8)): VirtualClock {
  let elapsed = 0;
  let order = 0;
  const timers = new Set<Timer>();

  const after = (ms: number, run: () => void): (() => void) => {
    order += 1;
    const timer = { at: elapsed + Math.max(0, ms), order, run };
    timers.add(timer);
    return () => void timers.delete(timer);
  };

  const next = (until: number): Timer | undefined =>
    [...timers].filter((timer) => timer.at <= until).toSorted((a, b) => a.at - b.at || a.order - b.order)[0];

  return {
    now: () => startMs + elapsed,
    monotonic: () => 1_000 + elapsed,
    after,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) return resolve();
        const cancel = after(ms, resolve);
        signal?.addEventListener('abort', () => resolve(cancel()), { once: true });
      }),
    async advance(ms) {
      const until = elapsed + ms;
      await settled();
      for (let timer = next(until); timer !== undefined; timer = next(until)) {
        timers.delete(timer);
        elapsed = Math.max(elapsed, timer.at);
        timer.run();
        await settled();
      }
      elapsed = until;
      await settled();
    },
  };
}

/** Resolves once every promise that can settle without time passing has settled. */
export function settled(): Promise<void> {
  return new Promise((resolve) => void setImmediate(() => setImmediate(resolve)));
}

/** The same numbers each run: 0.5 for ever unless others are given, and uuids that count. */
export function createFixedRng(numbers: readonly number[] = [0.5]): Rng {
  let drawn = 0;
  let uuids = 0;
  return {
    next: () => numbers[drawn++ % numbers.length] ?? 0.5,
    uuid: () => `00000000-0000-4000-8000-${String(++uuids).padStart(12, '0')}`,
  };
}
