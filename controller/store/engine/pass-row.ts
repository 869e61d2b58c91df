import { toResourceRow } from '#controller/store/resource-columns.ts';
import type { PassRow } from '#controller/store/rows.ts';
import type { PassColumns } from './read-rows.ts';

/** A claimed row in the spelling of TypeScript. */
export function toPassRow(row: PassColumns): PassRow {
  const { priority, holder, epoch, attempts, incarnation, intents, decisions, revision, listeners, owner } = row;
  const work = {
    dueAt: row.work_due_at,
    priority,
    leaseUntil: row.lease_until,
    holder,
    epoch,
    attempts,
    wakeSeq: row.wake_seq,
    takenOverAt: row.taken_over_at,
    passedAt: row.passed_at,
    verifiedAt: row.verified_at,
    materializedAt: row.materialized_at,
    incarnation,
    recentActions: row.recent_actions,
  };
  return { row: toResourceRow(row), work, intents, decisions, revision, listeners, owner };
}
