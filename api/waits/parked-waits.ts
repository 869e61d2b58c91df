import type { Clock } from '#controller/clock.ts';
import type { ResourceStore, Scope } from '#controller/store/resource-store.ts';
import type { Feed } from '#controller/watch/feed.ts';
import type { Ms } from '#resources/resource.ts';
import type { Authenticator, Caller } from '#api/auth.ts';
import type { ApiOptions } from '#api/options.ts';
import type { ReadLane } from '#api/read-lane.ts';
import { createDeadlines } from './deadlines.ts';
import type { Fixed, WaitResult } from './evaluate.ts';
import { createGroups } from './groups.ts';
import type { Group } from './groups.ts';
import { createKeyChecks } from './key-checks.ts';
import { createLooks } from './looks.ts';

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

export interface WaitAnswer {
  readonly outcome: 'met' | 'stalled' | 'deleted' | 'timeout';
  readonly results: readonly WaitResult[];
  readonly cursor: string;
}

/** A wait whose rows were found, and are not as wanted yet. */
export interface UndecidedWait {
  readonly scope: Scope;
  readonly caller: Caller;
  readonly fixed: readonly Fixed[];
  readonly until: string;
  readonly cursor: string;
  /** Monotonic. */
  readonly deadline: Ms;
  /** Gives its place among the open waits back. Called once. */
  readonly release: () => void;
}

/** What a parked wait hears: its answer, as text too, which is made once for all who hear it; or what went wrong. */
export type Heard = { readonly answer: WaitAnswer; readonly text: () => string } | { readonly error: unknown };

export interface Parked {
  readonly group: Group<Parked>;
  readonly keyId: string;
  /** Of its deadline. */
  readonly slot: number;
  /** Counts up: a look that began before it was parked is not for it. */
  readonly number: number;
  readonly release: () => void;
  readonly hear: (heard: Heard) => void;
}

export interface ParkedWaitsDeps {
  readonly feed: Feed;
  readonly resources: Pick<ResourceStore, 'getByUid'>;
  readonly auth: Pick<Authenticator, 'recheck'>;
  readonly lane: ReadLane;
  readonly clock: Clock;
  readonly options: Pick<ApiOptions, 'feedPollMs' | 'feedGapMs' | 'keyRecheckMs'>;
}

/** How late a deadline may be noticed. */
const sweepEveryMs = 20;

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

export type Registry = ReturnType<typeof createRegistry>;

/** All that is parked, by group, deadline and key. */
function createRegistry(deps: ParkedWaitsDeps) {
  const groups = createGroups<Parked>();
  const deadlines = createDeadlines<Parked>(sweepEveryMs);
  const checks = createKeyChecks(deps);
  let last = 0;

  const add = (wait: UndecidedWait, hear: Parked['hear']): { readonly parked: Parked; readonly made: boolean } => {
    const { group, made } = groups.join(wait);
    last += 1;
    const { keyId } = wait.caller.principal;
    const slot = deadlines.slotOf(wait.deadline);
    const parked: Parked = { group, keyId, slot, number: last, release: wait.release, hear };
    group.members.add(parked);
    deadlines.add(slot, parked);
    checks.enter(wait.caller);
    return { parked, made };
  };
  /** Whether it was still parked. */
  const remove = (parked: Parked): boolean => {
    const { group, keyId, slot } = parked;
    if (!group.members.delete(parked)) return false;
    deadlines.remove(slot, parked);
    checks.leave(keyId);
    parked.release();
    if (group.members.size === 0) groups.drop(group);
    return true;
  };
  const tell = (some: Iterable<Parked>, heard: Heard): void => {
    for (const parked of some) if (remove(parked)) parked.hear(heard);
  };
  return { groups, deadlines, checks, add, remove, tell, last: () => last };
}
