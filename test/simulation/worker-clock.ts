import type { Clock } from '#controller/clock.ts';
import type { Life } from './life.ts';
import type { Timeline } from './timeline.ts';

/** Time as a worker sees it: callbacks reach it through its life. */
export function createWorkerClock(timeline: Timeline, life: Life, now: () => number): Clock {
  return {
    now,
    monotonic: () => 1_000 + timeline.elapsed(),
    after: (ms, callback) => timeline.after(ms, () => life.deliver(callback)),
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) return resolve();
        const cancel = timeline.after(ms, () => life.deliver(resolve));
        signal?.addEventListener('abort', () => resolve(cancel()), { once: true });
      }),
  };
}
