import type { Ms } from '#resources/resource.ts';
import type { Timing } from '#controller/contract.ts';
import { changedBefore, lastStood, missingSince, sentBefore } from './recent-actions.ts';
import type { WorkRow } from '#controller/store/rows.ts';

/**
 * When what is seen of the world can be believed (architecture §5, Takeover): something sent earlier may still land, and what has landed
 * may still be invisible. All of it in one place, as database times from which on it can. Pure; 0: from the beginning.
 *
 *                                   may still land                       may still be invisible
 *   Ready=True                      takeover, an earlier generation's    –
 *   a match                         –                                    a change for an earlier generation
 *   nothing of ours is left         takeover, an earlier generation's    what stood, or should stand
 */
export interface Earlier {
  readonly work: Pick<WorkRow, 'recentActions' | 'verifiedAt' | 'takenOverAt'>;
  readonly generation: number;
  readonly timing: Pick<Timing, 'visibilityMs' | 'maxCallMs'>;
}

/** After this one observation tells of everything that the holder before us sent. */
export function takeoverLandedAt({ work, timing }: Earlier): Ms {
  return work.takenOverAt === null ? 0 : work.takenOverAt + landsWithinMs(timing);
}

/** After this nothing that was sent before can change what was seen: by another holder, or for an earlier generation without an answer. */
export function allLandedAt(earlier: Earlier): Ms {
  const { work, generation, timing } = earlier;
  const sentAt = sentBefore(work.recentActions, generation);
  return Math.max(takeoverLandedAt(earlier), sentAt === 0 ? 0 : sentAt + landsWithinMs(timing));
}

/** A match proves something from here on. A, then B, then A again: a read that lags shows the first A while the world is at B. */
export function matchProvenAt({ work, generation, timing }: Earlier): Ms {
  const changedAt = changedBefore(work.recentActions, generation);
  return changedAt === 0 ? 0 : changedAt + timing.visibilityMs;
}

/**
 * That nothing is seen proves something from here on. What was made or seen less than visibilityMs ago, and not taken away since, may still
 * show; and what should stand must be missed twice, visibilityMs apart: one look may be wrong altogether. `now`: of this look.
 */
export function absenceProvenAt(earlier: Earlier, now: Ms): Ms {
  const { work, timing } = earlier;
  const stoodAt = lastStood(work);
  const missedAt = stoodAt === 0 ? 0 : Math.max(stoodAt, missingSince(work) ?? now) + timing.visibilityMs;
  return Math.max(missedAt, allLandedAt(earlier));
}

function landsWithinMs({ maxCallMs, visibilityMs }: Earlier['timing']): number {
  return Math.max(maxCallMs, visibilityMs);
}
