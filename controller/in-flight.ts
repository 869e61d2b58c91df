import type { Pass } from './pass/progress.ts';
import type { InFlight } from './queue/claim.ts';

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

/** `onCount` hears the number after each change. */
export function createInFlight(onCount: (count: number) => void): InFlightPasses {
  const passes = new Set<Pass>();
  const counts = new Map<number, number>();
  let waiting: (() => void)[] = [];
  const count = ({ scope }: Pass, by: 1 | -1): void => {
    const { shard } = scope.claim;
    counts.set(shard, (counts.get(shard) ?? 0) + by);
  };
  return {
    get count() {
      return passes.size;
    },
    countOf: (shard) => counts.get(shard) ?? 0,
    ofShard(shard) {
      const counts = new Map<string, number>();
      for (const { scope } of passes) {
        const { claim } = scope;
        if (claim.shard === shard) counts.set(claim.workspace, (counts.get(claim.workspace) ?? 0) + 1);
      }
      return counts;
    },
    add(pass) {
      passes.add(pass);
      count(pass, 1);
      onCount(passes.size);
    },
    remove(pass) {
      if (passes.delete(pass)) count(pass, -1);
      onCount(passes.size);
      if (passes.size > 0) return;
      for (const resolve of waiting) resolve();
      waiting = [];
    },
    all: () => [...passes],
    empty: () => (passes.size === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  };
}
