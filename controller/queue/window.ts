import type { EngineOptions } from '#controller/options.ts';

/**
 * How many passes may be under way: more while all of them are quick, since the statements that claim, read and settle cost less a row the
 * more rows they have (7,500 passes a second with claims of 60, 9,000 with 130). Rows of a slow provider would only wait for it, within the
 * time of a pass and where no other replica can take them. As TCP opens its window: from `slots`, by one for each pass that proved quick while the window was used; back at once.
 *
 * W1  `slots` to begin with, while some pass has been under way for longer than `quickMs`, and when none has ended for so long.
 * W2  One more for each pass that ends within `quickMs` while at least half of the window is taken, up to `slots` × `quickFactor`.
 */
export interface Window {
  /** At a monotonic time; `oldestAt`: since when the oldest pass has been under way, null: none is. */
  size(now: number, oldestAt: number | null): number;
  /** A pass has ended, under way since `begunAt`, one of `count`. */
  ended(now: number, pass: { readonly begunAt: number; readonly count: number }): void;
}

/** As it begins. */
export function createWindow(options: Pick<EngineOptions, 'slots' | 'quickMs' | 'quickFactor'>): Window {
  const { slots, quickMs, quickFactor } = options;
  let size = slots;
  let endedAt = 0;
  return {
    size(now, oldestAt) {
      if (now - Math.min(oldestAt ?? now, endedAt) > quickMs) size = slots;
      return size;
    },
    ended(now, { begunAt, count }) {
      endedAt = now;
      if (now - begunAt > quickMs) size = slots;
      else if (2 * count >= size) size = Math.min(size + 1, slots * quickFactor);
    },
  };
}
