import { toResourceRow } from '#controller/store/resource-columns.ts';
import type { PassRow, Revision } from '#controller/store/rows.ts';
import type { PassColumns } from './read-rows.ts';

/** A claimed row in the spelling of TypeScript. */
export function toPassRow(row: PassColumns): PassRow {
  const { priority, holder, epoch, attempts, incarnation, intents, decisions, listeners, owner } = row;
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
  return { row: toResourceRow(row), work, intents, decisions, revision: revisionOf(row), listeners, owner };
}

function revisionOf(row: PassColumns): Revision | null {
  const { revision: generation, approved, confirmed } = row;
  if (generation === null) return null;
  return {
    generation,
    spec: row.revision_spec ?? row.spec,
    by: row.revision_by ?? row.created_by,
    requestId: row.request_id,
    approved,
    confirmed,
    at: row.revision_at,
  };
}
