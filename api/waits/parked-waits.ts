import { createLooks } from './looks.ts';
import type { Heard, Parked, ParkedWaitsDeps, UndecidedWait } from './parked.ts';
import { createRegistry, sweepEveryMs } from './registry.ts';

/**
 * Waits that are not decided yet. Each is one small record; what wakes, reads, evaluates and ends them is shared by all.
 *
 * Invariants
 * P1  A wait is answered once, from a look that began after it was parked; one that has left is never answered.
 * P2  A movement of a shard costs one read of changes for each of its lines, and evaluates only the groups whose rows changed.
 * P3  A lost signal costs `feedPollMs`: then one line of each shard looks, and the others if the shard's version has moved.
 * P4  A line has one look under way, and begins at most one each `feedGapMs`.
 * P5  Each key is asked for again every `keyRecheckMs`, once for all of its waits.
 */
export interface ParkedWaits {
  /** Takes a wait over: `hear` is called later, never within this call, unless the wait leaves before. */
  park(wait: UndecidedWait, hear: (heard: Heard) => void): Parked;
  /** The caller has gone: its place is free and nothing is answered. False: it was answered already, or is about to be, by `stop`. */
  leave(parked: Parked): boolean;
  /** All are answered soon, as if their time were up; so is what still comes. */
  stop(): void;
}

/** One of these serves a process. */
export function createParkedWaits(deps: ParkedWaitsDeps): ParkedWaits {
  const { clock, feed } = deps;
  const registry = createRegistry(deps);
  const { groups, deadlines, checks } = registry;
  const looks = createLooks(deps, registry);
  let [sweeping, stopped] = [false, false];

  const endNow = (parked: Parked): void => {
    const [line] = groups.linesOf(parked.group);
    line?.due.add(parked);
    if (line !== undefined) looks.wake(line);
  };
  const sweep = (): void => {
    for (const parked of deadlines.take(clock.monotonic())) endNow(parked);
    looks.poll();
    checks.sweep((keyId, error) => {
      for (const { members } of groups.all.values()) {
        registry.tell(
          [...members].filter((one) => one.keyId === keyId),
          { error },
        );
      }
    });
    sweeping = groups.all.size > 0;
    if (sweeping) clock.after(sweepEveryMs, sweep);
  };
  feed.onMoved((shards) => {
    for (const shard of shards ?? groups.shards.keys()) {
      for (const line of groups.shards.get(shard) ?? []) looks.wake(line);
    }
  });

  return {
    park(wait, hear) {
      const { parked, made } = registry.add(wait, hear);
      // What changed since the rows were found may be in no page of changes that is yet to be read.
      if (made) for (const line of groups.linesOf(parked.group)) looks.ask(line, parked.group);
      if (stopped) endNow(parked);
      if (!sweeping) clock.after(sweepEveryMs, sweep);
      sweeping = true;
      return parked;
    },
    leave: (parked) => !stopped && registry.remove(parked),
    stop() {
      stopped = true;
      for (const { members } of groups.all.values()) for (const parked of members) endNow(parked);
    },
  };
}
