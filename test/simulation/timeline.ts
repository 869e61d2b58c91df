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
  // A binary heap: a world of months has tens of thousands of timers, most of which are cancelled.
  const heap: Timer[] = [];
  let elapsed = 0;
  let order = 0;

  const swap = (a: number, b: number): void => {
    const [one, other] = [heap[a], heap[b]];
    if (one === undefined || other === undefined) return;
    heap[a] = other;
    heap[b] = one;
  };
  const isBefore = (a: number, b: number): boolean => {
    const [one, other] = [heap[a], heap[b]];
    return one !== undefined && other !== undefined && comesBefore(one, other);
  };
  const push = (timer: Timer): void => {
    heap.push(timer);
    for (let at = heap.length - 1; at > 0;) {
      const parent = (at - 1) >> 1;
      if (!isBefore(at, parent)) return;
      swap(at, parent);
      at = parent;
    }
  };
  const pop = (): Timer | undefined => {
    swap(0, heap.length - 1);
    const timer = heap.pop();
    for (let at = 0; ;) {
      const left = 2 * at + 1;
      const least = isBefore(left + 1, left) ? left + 1 : left;
      if (!isBefore(least, at)) return timer;
      swap(least, at);
      at = least;
    }
  };
  const skipCancelled = (): Timer | undefined => {
    while (heap[0]?.run === null) pop();
    return heap[0];
  };

  return {
    elapsed: () => elapsed,
    after(ms, run) {
      order += 1;
      const timer: Timer = { at: elapsed + Math.max(0, ms), order, run };
      push(timer);
      return () => {
        timer.run = null;
      };
    },
    nextAt: () => skipCancelled()?.at ?? null,
    runNext() {
      if (skipCancelled() === undefined) return false;
      const timer = pop();
      elapsed = Math.max(elapsed, timer?.at ?? 0);
      timer?.run?.();
      return true;
    },
    advance(ms) {
      elapsed += ms;
    },
  };
}
