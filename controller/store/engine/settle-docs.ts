import type { Param } from '#controller/store/statement.ts';
import { dueShiftMs } from '#controller/store/rows.ts';
import type { Settle } from '#controller/store/rows.ts';

/** Nothing but times changes: such passes settle without the version counter, in the narrow statement. */
export function isUnchanged(settle: Settle): boolean {
  const lists = [settle.fires, settle.intents, settle.dropAnnounced, settle.decided, settle.operations];
  const parts = [settle.status, settle.listeners, settle.recentActions, settle.pass];
  return lists.every((list) => list.length === 0) && parts.every((part) => part === undefined);
}

/** Whether the settle takes the counter: its status, its set of listeners or its firings must be in order with other writers'. */
export function isVersioned(settle: Settle): boolean {
  return takesVersion(settle) || settle.listeners !== undefined;
}

/** Whether it moves the counter. Listeners alone take the lock and move nothing. */
export function takesVersion(settle: Settle): boolean {
  return settle.status !== undefined || settle.fires.length > 0;
}

/** A delay is a promise not to come sooner: only what is due at once may be shifted into the past, to go before others. */
function shiftedMs({ dueInMs, priority }: Settle): number {
  const shift = dueShiftMs[priority];
  return Math.round(dueInMs > 0 ? dueInMs + Math.max(0, shift) : shift);
}

/** The parallel arrays of settle_unchanged, after the shard. */
export function unchangedColumns(settles: readonly Settle[]) {
  return [
    settles.map((settle) => settle.uid),
    settles.map((settle) => settle.epoch),
    settles.map((settle) => settle.holder),
    settles.map((settle) => settle.wakeSeq),
    settles.map((settle) => settle.generation),
    settles.map(shiftedMs),
    settles.map((settle) => settle.priority),
    settles.map((settle) => settle.attempts),
    settles.map((one) => (one.verified ? 1 : 0) + (one.materialized ? 2 : 0) + (one.clearTakenOver ? 4 : 0)),
    settles.map((settle) => settle.parkedOn?.provider ?? null),
    settles.map((settle) => settle.parkedOn?.account ?? null),
  ] as const satisfies readonly Param[];
}

/**
 * One settle as the JSON text that settle_changed and remove_row read. Strings are made well-formed where they enter (resources/text.ts);
 * one that is not fails its whole batch here, as a data error that the caller bisects.
 */
export function settleDoc(settle: Settle): string {
  const { status, parkedOn, pass } = settle;
  const { uid, epoch, holder, wakeSeq, generation, readVersion, priority, attempts } = settle;
  const { verified, materialized, clearTakenOver, recentActions, listeners, fires } = settle;
  return JSON.stringify({
    uid,
    epoch,
    holder,
    wakeSeq,
    generation,
    readVersion,
    dueInMs: shiftedMs(settle),
    priority,
    attempts,
    verified,
    materialized,
    clearTakenOver,
    recentActions,
    ...status,
    listeners,
    fires,
    ...parkedOn,
    intents: settle.intents,
    dropped: settle.dropAnnounced,
    decided: settle.decided,
    operations: settle.operations,
    pass,
  });
}
