import type { Pass } from './progress.ts';
import type { InFlight } from './queue/claim.ts';

/** The passes under way in this process. */
export interface InFlightPasses extends InFlight {
  add(pass: Pass): void;
  remove(pass: Pass): void;
  all(): readonly Pass[];
  /** Resolves when no pass is under way. */
  empty(): Promise<void>;
}

/** `onCount` hears the number after each change. */
export function createInFlight(onCount: (count: number) => void): InFlightPasses {
  const passes = new Set<Pass>();
  let waiting: (() => void)[] = [];
  return {
    get count() {
      return passes.size;
    },
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
      onCount(passes.size);
    },
    remove(pass) {
      passes.delete(pass);
      onCount(passes.size);
      if (passes.size > 0) return;
      for (const resolve of waiting) resolve();
      waiting = [];
    },
    all: () => [...passes],
    empty: () => (passes.size === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
  };
}
