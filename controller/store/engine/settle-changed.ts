import { statement } from '#controller/store/statement.ts';
import { declaredDueAt, facts, hearers, locked, marks, wakes, woken, wokenDueAt } from './fragments.ts';
import type { SettledRow } from './settle-unchanged.ts';

/**
 * Settles passes of one shard with all they changed: $1 shard, $2 the shard's version before, $3 one JSON text per pass
 * (settle-docs.ts). In a transaction whose first statement locked the shard's row; alone, with version 0, if none of them is versioned.
 *
 * - `locked` takes every row of `work` that may be touched, settled and woken ones, in order of uid.
 * - `held` are the passes whose fence holds; everything below hangs on it. Those that write status or fire take the next versions, in
 *   order of uid and without gaps; `bumped` moves the counter that far.
 * - A row is due at once if it was woken, declared anew, or one of its NEW listeners' topics fired after its pass had read (stored
 *   listeners were found by the firing, which moved wake_seq), also by a pass of this very batch; or if what it parked on is open again.
 *   All of it is in `judged`, which the update reads alone: joined with `held` it was compared row by row, 10,000 times for 100.
 */
export const settleChanged = statement<[shard: number, version: number, docs: readonly string[]], SettledRow>({
  name: 'settle_changed',
  text: `
with rows as materialized (
  select d.* from unnest($3::text[]) as t(doc)
  cross join jsonb_to_record(t.doc::jsonb) as d(uid text, epoch bigint, holder text, "wakeSeq" bigint, generation bigint,
    "readVersion" bigint, "dueInMs" bigint, priority text, attempts int, verified boolean,
    materialized boolean, "clearTakenOver" boolean, "recentActions" jsonb, status jsonb, conditions jsonb,
    "observedGeneration" bigint, "outputsDigest" text, listeners text[], fires text[], provider text, account text,
    intents jsonb, dropped text[], decided text[], operations jsonb, pass jsonb)
),
asked as materialized (select f.topic from rows cross join unnest(fires) as f(topic)),
${hearers},
${locked},
held as materialized (
  select r.*, l.workspace, statement_timestamp() as now, l.wake_seq <> r."wakeSeq" as stirred,
    $2::bigint + sum((r.status is not null or cardinality(r.fires) > 0)::int) over (order by r.uid) as version
  from rows r join locked l using (uid, epoch, holder)
),
bumped as (
  update shards s set version = h.version
  from (select max(version) as version from held) h
  where s.shard = $1::smallint and s.version = $2::bigint and h.version > s.version
),
fired as materialized (select distinct f.topic from held h cross join unnest(h.fires) as f(topic)),
${woken},
${wakes},
${marks('(select max(version) from held)')},
judged as materialized (
  select h.*, ${declaredDueAt} as declared_at, ${wokenDueAt} as woken_at,
    statement_timestamp() + h."dueInMs" * interval '1 millisecond' as next_at, s.generation <> h.generation as declared,
    h.stirred or h.uid in (select uid from woken)
      or exists (select from fired f where f.topic = any (h.listeners))
      or exists (
        select from topics t
        where t.shard = $1::smallint and t.topic = any (h.listeners) and t.fired_version > h."readVersion")
      or h.provider is not null and not exists (
        select from providers p
        where p.provider = h.provider and p.account = h.account and (p.breaker = 'open'
          or p.frozen_by is not null and (p.frozen_until is null or p.frozen_until > statement_timestamp()))
      ) as disturbed
  from held h
  join resources s on s.shard = $1::smallint and s.uid = h.uid and s.uid = any (array(select uid from rows))
),
statuses as (
  update resources s set
    version = h.version,
    status = h.status,
    conditions = h.conditions,
    observed_generation = h."observedGeneration",
    outputs_digest = h."outputsDigest"
  from held h
  where h.status is not null and s.shard = $1::smallint and s.uid = h.uid and s.uid = any (array(select uid from rows))
),
unheard as (
  delete from listeners l using held h
  where h.listeners is not null and l.shard = $1::smallint and l.uid = h.uid and l.uid = any (array(select uid from rows))
    and l.topic <> all (h.listeners)
),
heard as (
  insert into listeners (shard, topic, uid)
  select $1::smallint, t.topic, h.uid from held h cross join unnest(h.listeners) as t(topic)
  on conflict do nothing
),
${facts},
started as (
  insert into operations (shard, uid, key, workspace, op, input, state, created_at, updated_at)
  select $1::smallint, h.uid, o.key, h.workspace, o.op, o.input, 'waiting', statement_timestamp(), statement_timestamp()
  from held h cross join jsonb_to_recordset(h.operations) as o(key text, op text, input jsonb)
  where o.op = 'start'
  on conflict (shard, uid, key) do nothing
),
cancelled as (
  update operations p set
    cancel_requested_at = coalesce(p.cancel_requested_at, h.now),
    updated_at = statement_timestamp()
  from held h cross join jsonb_to_recordset(h.operations) as o(key text, op text)
  where o.op = 'cancel' and p.shard = $1::smallint and p.uid = h.uid and p.key = o.key and p.state in ('waiting', 'running')
    and p.uid = any (array(select uid from rows))
)
update work w set
  holder = null,
  lease_until = null,
  due_at = case
    when h.declared then h.declared_at
    when h.disturbed then h.woken_at
    else h.next_at end,
  priority = h.priority,
  attempts = h.attempts,
  passed_at = w.claimed_at,
  verified_at = case when h.verified then w.claimed_at else w.verified_at end,
  materialized_at = case when h.materialized then coalesce(w.materialized_at, h.now) else w.materialized_at end,
  taken_over_at = case when h."clearTakenOver" then null else w.taken_over_at end,
  recent_actions = coalesce(h."recentActions", w.recent_actions)
from judged h
where w.shard = $1::smallint and w.uid = h.uid and w.uid = any (array(select uid from rows))
returning w.uid, h.declared or h.disturbed as at_once`,
});
