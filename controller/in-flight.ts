import type { Clock } from './clock.ts';
import type { EngineOptions } from './options.ts';
import type { Pass } from './pass/progress.ts';
import type { InFlight } from './queue/claim.ts';
import { createWindow } from './queue/window.ts';

/** The passes under way in this process. */
export interface InFlightPasses extends InFlight {
  add(pass: Pass): void;
  remove(pass: Pass): void;
  /** Passes of a shard. */
  countOf(shard: number): number;
  all(): readonly Pass[];
  /** Resolves when no pass is under way. */
  empty(): Promise<void>;
}

export interface InFlightInput {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly options: Pick<EngineOptions, 'slots' | 'quickMs' | 'quickFactor'>;
  /** Hears the number after each change. */
  readonly onCount: (count: number) => void;
}

/** Nothing under way. */
export function createInFlight({ clock, options, onCount }: InFlightInput): InFlightPasses {
  const passes = new Set<Pass>();
  const counts = new Map<number, Map<string, number>>();
  const window = createWindow(options);
  let waiting: (() => void)[] = [];
  const count = ({ scope: { claim } }: Pass, by: 1 | -1): void => {
    const ofShard = counts.get(claim.shard) ?? new Map<string, number>();
    const left = (ofShard.get(claim.workspace) ?? 0) + by;
    if (left > 0) ofShard.set(claim.workspace, left);
    else ofShard.delete(claim.workspace);
    if (ofShard.size > 0) counts.set(claim.shard, ofShard);
    else counts.delete(claim.shard);
    onCount(passes.size);
  };
  const countOf = (shard: number): number =>
    (counts.get(shard) ?? none).values().reduce((sum, ofWorkspace) => sum + ofWorkspace, 0);
  return {
    slots() {
      const [oldest] = passes;
      return window.size(clock.monotonic(), oldest?.scope.begunAt ?? null);
    },
    countOf,
    held: (most) => counts.keys().reduce((sum, shard) => sum + Math.min(most, countOf(shard)), 0),
    ofShard: (shard) => counts.get(shard) ?? none,
    add(pass) {
      passes.add(pass);
      count(pass, 1);
    },
    remove(pass) {
      window.ended(clock.monotonic(), { begunAt: pass.scope.begunAt, count: passes.size });
      if (passes.delete(pass)) count(pass, -1);
      if (passes.size > 0) return;
      for (const resolve of waiting) resolve();
      waiting = [];
    },
    all: () => [...passes],
    empty: () => (passes.size === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  };
}

const none: ReadonlyMap<string, number> = new Map();
