import { createHeap } from './heap.ts';

/**
 * Virtual time: a queue of callbacks, in order of time and then of asking. Time moves only when the world says so.
 */
export interface Timeline {
  /** ms since the world began. */
  elapsed(): number;
  /** Calls back once `ms` have passed; returns a function that cancels. */
  after(ms: number, run: () => void): () => void;
  /** When the next callback is due, in elapsed ms; null: none. */
  nextAt(): number | null;
  /** Moves time to the next callback, if that is later, and runs it. False: there is none. */
  runNext(): boolean;
  /** Moves time without running anything; what falls due is run by the following `runNext`. */
  advance(ms: number): void;
}

interface Timer {
  readonly at: number;
  readonly order: number;
  run: (() => void) | null;
}

function comesBefore(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** A timeline that starts at 0. */
export function createTimeline(): Timeline {
  // A world of months has tens of thousands of timers, most of which are cancelled.
  const heap = createHeap(comesBefore);
  let elapsed = 0;
  let order = 0;

  const skipCancelled = (): Timer | undefined => {
    while (heap.top()?.run === null) heap.pop();
    return heap.top();
  };

  return {
    elapsed: () => elapsed,
    after(ms, run) {
      order += 1;
      const timer: Timer = { at: elapsed + Math.max(0, ms), order, run };
      heap.push(timer);
      return () => {
        timer.run = null;
      };
    },
    nextAt: () => skipCancelled()?.at ?? null,
    runNext() {
      if (skipCancelled() === undefined) return false;
      const timer = heap.pop();
      elapsed = Math.max(elapsed, timer?.at ?? 0);
      timer?.run?.();
      return true;
    },
    advance(ms) {
      elapsed += ms;
    },
  };
}
