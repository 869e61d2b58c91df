import { createDeadlines } from './deadlines.ts';
import { createGroups } from './groups.ts';
import { createKeyChecks } from './key-checks.ts';
import type { Heard, Parked, ParkedWaitsDeps, UndecidedWait } from './parked.ts';

/** How late a deadline may be noticed. */
export const sweepEveryMs = 20;

export type Registry = ReturnType<typeof createRegistry>;

/** All that is parked, by group, deadline and key. */
export function createRegistry(deps: ParkedWaitsDeps) {
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
