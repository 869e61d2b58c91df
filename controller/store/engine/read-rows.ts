import type { Intent } from '#controller/contract.ts';
import { resourceColumns, type ResourceColumns } from '#controller/store/resource-columns.ts';
import type { Decision, Priority, RecentAction } from '#controller/store/rows.ts';
import type { JsonObject } from '#resources/json.ts';
import type { Principal } from '#resources/resource.ts';
import { statement } from '#controller/store/statement.ts';
import type { Topic } from '#resources/topic.ts';

/** A claimed row with all that a pass needs. All null but version and now: the shard's own row, where none was found. */
export interface PassColumns extends ResourceColumns {
  readonly shard_version: number;
  readonly now: number;
  readonly work_due_at: number;
  readonly priority: Priority;
  readonly lease_until: number | null;
  readonly holder: string | null;
  readonly epoch: number;
  readonly attempts: number;
  readonly wake_seq: number;
  readonly taken_over_at: number | null;
  readonly passed_at: number | null;
  readonly verified_at: number | null;
  readonly materialized_at: number | null;
  readonly incarnation: number;
  readonly recent_actions: readonly RecentAction[];
  readonly intents: readonly Intent[];
  readonly decisions: readonly Decision[];
  /** Generation of the revision; null: there is none. */
  readonly revision: number | null;
  /** Null: as the row has it now. */
  readonly revision_spec: JsonObject | null;
  /** Null: whoever created the row. */
  readonly revision_by: Principal | null;
  readonly request_id: string | null;
  readonly approved: readonly string[];
  readonly confirmed: boolean;
  readonly revision_at: number;
  readonly listeners: readonly Topic[];
  readonly owner: { readonly kind: string; readonly name: string } | null;
}

/** A timestamp inside JSON: whole ms, as the driver reads a plain column. */
const ms = (column: string): string => `floor(extract(epoch from ${column}) * 1000)`;

/**
 * Claimed rows of one shard in one snapshot, with the shard's version and the database's time: $1 shard, $2 uids. NEVER part of the
 * claim: joined with it, the row would be of the claim's snapshot, older than the lock, and an edit in between would be lost (2,232 of
 * 23,712 were; test/database/lost-edits.test.ts).
 *
 * The revision comes as columns, and what it has in common with its row not at all: as an object it was a third of the statement.
 */
export const readRows = statement<[shard: number, uids: readonly string[]], PassColumns>({
  name: 'read_rows',
  repeatable: true,
  text: `
select s.version as shard_version, statement_timestamp() as now, ${resourceColumns},
  w.due_at as work_due_at, w.priority, w.lease_until, w.holder, w.epoch, w.attempts, w.wake_seq, w.taken_over_at, w.passed_at,
  w.verified_at, w.materialized_at, w.incarnation, w.recent_actions,
  (
    select coalesce(jsonb_agg(jsonb_build_object(
      'effect', i.effect, 'attempt', i.attempt, 'nonce', i.nonce, 'state', i.state, 'args', i.args, 'result', i.result,
      'announcedAt', ${ms('i.announced_at')}, 'sentAt', ${ms('i.sent_at')}, 'giveUpAt', ${ms('i.give_up_at')},
      'answeredAt', ${ms('i.answered_at')}, 'contradicts', i.contradicts
    ) order by i.attempt, i.announced_at, i.effect), '[]')
    from intents i
    where i.shard = $1::smallint and i.uid = r.uid and not i.archived and (i.state not in ('refused', 'retired') or i.contradicts or not exists (
      select from intents n
      where n.shard = $1::smallint and n.uid = i.uid and n.effect = i.effect and n.attempt > i.attempt))
  ) as intents,
  (
    select coalesce(jsonb_agg(jsonb_build_object(
      'effect', d.effect, 'outcome', d.outcome, 'evidence', d.evidence, 'by', d.by, 'at', ${ms('d.at')}
    ) order by d.at, d.effect), '[]')
    from decisions d
    where d.shard = $1::smallint and d.uid = r.uid and d.workspace = r.workspace and d.applied_at is null
  ) as decisions,
  v.generation as revision, nullif(v.spec, r.spec) as revision_spec, nullif(v.by, r.created_by) as revision_by, v.request_id, v.approved,
  v.confirmed, v.at as revision_at,
  array(select l.topic from listeners l where l.shard = $1::smallint and l.uid = r.uid order by l.topic collate "C") as listeners,
  (
    select jsonb_build_object('kind', o.kind, 'name', o.name)
    from resources o
    where o.shard = $1::smallint and o.uid = r.owner_uid
  ) as owner
from shards s
left join (resources r join work w on w.shard = $1::smallint and w.uid = r.uid)
  on r.shard = $1::smallint and r.uid = any ($2::text[])
left join lateral (
  select * from revisions v
  where v.shard = $1::smallint and v.uid = r.uid and v.generation = r.generation and v.workspace = r.workspace limit 1
) v on true
where s.shard = $1::smallint`,
});
