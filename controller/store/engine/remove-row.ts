import { statement } from '#controller/store/statement.ts';
import { facts, hearers, locked, marks, wakes, woken } from './fragments.ts';

/**
 * Removes a row that removal_look found free, under the shard's lock: $1 shard, $2 the settle as JSON text (settle-docs.ts), $3 what
 * outlives the row as JSON text, $4 the external name to release or null, $5 generation. No row: fenced meanwhile, nothing is written.
 * `work` and `listeners` go with the row; what was declared and done (revisions, passes, intents) is trimmed by age.
 */
export const removeRow = statement<
  [shard: number, doc: string, retained: string, claim: string | null, generation: number],
  { uid: string }
>({
  name: 'remove_row',
  text: `
with rows as materialized (
  select d.* from jsonb_to_record($2::text::jsonb) as d(uid text, epoch bigint, holder text, fires text[],
    intents jsonb, dropped text[], decided text[], pass jsonb)
),
asked as materialized (select f.topic from rows cross join unnest(fires) as f(topic)),
${hearers},
${locked},
held as materialized (
  select r.*, l.workspace, statement_timestamp() as now from rows r join locked l using (uid, epoch, holder)
),
bumped as (
  update shards s set version = s.version + 1 from held where s.shard = $1::smallint returning s.version
),
fired as materialized (select distinct f.topic from held h cross join unnest(h.fires) as f(topic)),
${woken},
${wakes},
${marks('(select version from bumped)')},
${facts},
outlived as (
  insert into retained (kind, external_ref, workspace, uid, until, reason, retained_at)
  select k.kind, k."externalRef", h.workspace, h.uid,
    statement_timestamp() + k."untilInMs" * interval '1 millisecond', k.reason, statement_timestamp()
  from held h
  cross join jsonb_to_recordset($3::text::jsonb) as k(kind text, "externalRef" text, "untilInMs" bigint, reason text)
  on conflict (kind, external_ref) do update set
    workspace = excluded.workspace, uid = excluded.uid, until = excluded.until, reason = excluded.reason,
    retained_at = excluded.retained_at
),
released as (
  delete from claims c using held h where c.external_name = $4::text and c.uid = h.uid
),
gone as (
  delete from resources r using held h
  where r.shard = $1::smallint and r.uid = h.uid and r.generation = $5::bigint
  returning r.uid, r.workspace, r.kind, r.name, r.labels
),
buried as (
  insert into tombstones (shard, version, uid, workspace, kind, name, labels, deleted_at)
  select $1::smallint, b.version, g.uid, g.workspace, g.kind, g.name, g.labels, statement_timestamp()
  from gone g cross join bumped b
  returning uid
)
select uid from buried`,
});
