import { digest } from '#resources/digest.ts';
import type { Ms } from '#resources/resource.ts';
import type { Action } from '#controller/contract.ts';
import type { RecentAction, WorkRow } from '#controller/store/rows.ts';

/**
 * The drift brake (`work.recent_actions`): what was acknowledged lately, one entry per acknowledgement, newest last. Pure.
 *
 * 1. A digest covers the generation and the action's arguments, never observations: a new generation empties the list by not matching.
 * 2. `count` is how often this digest was acknowledged since the last converged pass.
 */
const entriesMax = 16;
const unconvergedMax = 3;
const hourlyMax = 10;
const hourMs = 3_600_000;

/** What an approval covers: type, effect, arguments and price cap, never observations (architecture §6, Plan hash). */
export function approvalDigest(action: Action): string {
  const { changes: _changes, guard: _guard, step: _step, ...covered } = action;
  return digest(covered);
}

/** What the drift brake compares: the arguments and the step, of one generation. */
export function repeatDigest(action: Action, generation: number): string {
  const { changes: _changes, guard: _guard, ...covered } = action;
  const mark = ['delete', 'release'].includes(action.effect) ? awayMark : '';
  return `${mark}${generationMark(generation)}${digest({ covered, generation })}`;
}

/** Begins the digest of what takes our object away, so that the list tells whether something of ours should stand. */
const awayMark = 'away:';
/** Begin entries that are no acknowledged change: our object was not seen where it should stand; a change was sent and its answer lost. */
const missingMark = 'missing:';
const sentMark = 'sent:';
const generationMark = (generation: number): string => `g${generation}:`;

/** Entry: what should stand was not seen. One sight proves nothing: get and list may both be wrong. */
export function missingEntry(generation: number): string {
  return `${missingMark}${generationMark(generation)}`;
}

/** Entry: a change was sent outside an intent and its answer was lost; it may land yet. */
export function sentEntry(generation: number): string {
  return `${sentMark}${generationMark(generation)}`;
}

function isChange({ digest: name }: RecentAction): boolean {
  return !name.startsWith(missingMark) && !name.startsWith(sentMark);
}

/** Since when our object has not been seen although it should stand; null: it was seen, or taken away by us, since. */
export function missingSince(work: Pick<WorkRow, 'recentActions' | 'verifiedAt'>): Ms | null {
  const stoodAt = lastStood(work);
  const first = work.recentActions.find(
    (entry) => entry.digest.startsWith(missingMark) && entry.acknowledgedAt > stoodAt,
  );
  return first?.acknowledgedAt ?? null;
}

/**
 * When the last change of an EARLIER generation was given up without an answer; 0: none. It may land yet, over what is wanted now. One of
 * this generation would only land what is wanted.
 */
export function sentBefore(recentActions: WorkRow['recentActions'], generation: number): Ms {
  const mine = sentEntry(generation);
  return recentActions.findLast(({ digest: name }) => name.startsWith(sentMark) && name !== mine)?.acknowledgedAt ?? 0;
}

/**
 * When the provider was last changed for an earlier generation than this one; 0 if the last change was for this one. For visibilityMs
 * after that, a read may show the world before it: as this generation wants it, by accident.
 */
export function changedBefore(recentActions: WorkRow['recentActions'], generation: number): Ms {
  const last = recentActions.findLast(isChange);
  return last === undefined || last.digest.includes(generationMark(generation)) ? 0 : last.acknowledgedAt;
}

/**
 * When our object was last known to stand: made, changed, or seen by a converged pass; 0 if it was taken away since. For visibilityMs
 * after that, not seeing it proves nothing.
 */
export function lastStood({ recentActions, verifiedAt }: Pick<WorkRow, 'recentActions' | 'verifiedAt'>): Ms {
  const seenAt = verifiedAt ?? 0;
  const last = recentActions.findLast(isChange);
  if (last === undefined) return seenAt;
  const isAway = last.digest.startsWith(awayMark);
  if (isAway) return last.acknowledgedAt >= seenAt ? 0 : seenAt;
  return Math.max(last.acknowledgedAt, seenAt);
}

export type RecentVerdict =
  | { readonly verdict: 'go' }
  /** Reads may not show the last one yet. */
  | { readonly verdict: 'verify'; readonly sinceMs: number; readonly leftMs: number }
  | { readonly verdict: 'loop'; readonly times: number };

/** Whether an action may be carried out again. `visibilityMs` 0: its effect is visible at once (declare, operation). */
export function judgeRecent(
  recent: readonly RecentAction[],
  wanted: string,
  at: { now: Ms; visibilityMs: number },
): RecentVerdict {
  const same = recent.filter((entry) => entry.digest === wanted);
  const last = same.at(-1);
  if (last === undefined) return { verdict: 'go' };
  const sinceMs = Math.max(0, at.now - last.acknowledgedAt);
  if (sinceMs < at.visibilityMs) return { verdict: 'verify', sinceMs, leftMs: at.visibilityMs - sinceMs };
  const inHour = same.filter((entry) => entry.acknowledgedAt > at.now - hourMs).length;
  if (last.count >= unconvergedMax || inHour >= hourlyMax) {
    return { verdict: 'loop', times: Math.max(last.count, inHour) };
  }
  return { verdict: 'go' };
}

/** The list after actions were acknowledged at `now`. */
export function acknowledge(recent: readonly RecentAction[], digests: readonly string[], now: Ms): RecentAction[] {
  const list = [...recent];
  for (const done of digests) {
    const last = list.findLast((entry) => entry.digest === done);
    list.push({ digest: done, acknowledgedAt: now, count: (last?.count ?? 0) + 1 });
  }
  return list.slice(-entriesMax);
}

/** The list after a converged pass: the run is over, the hour goes on. The same array if nothing changes. */
export function forgiven(recent: readonly RecentAction[]): readonly RecentAction[] {
  if (recent.every((entry) => entry.count === 0)) return recent;
  return recent.map((entry) => ({ ...entry, count: 0 }));
}
