import { statement } from '#controller/store/statement.ts';

/**
 * Looks which asked items of one shard have passed: $1 shard, $2 replay, $3 after this uid, $4 at most so many. Done: a pass that was
 * claimed after the asking has settled, or the row is gone. An item whose row is neither due nor held, and yet has not passed since, was
 * claimed by a statement that began before the asking and ended after it: it waits again. Answers the last uid looked at, null at the end.
 */
export const replayCheck = statement<
  [shard: number, replay: string, after: string, limit: number],
  { last: string | null }
>({
  name: 'replay_check',
  repeatable: true,
  text: `
with open as materialized (
  select i.uid, i.asked_at from replay_items i
  where i.replay = $2::text and i.state = 'asked' and i.shard = $1::smallint and i.uid > $3::text
  order by i.uid limit $4::int
),
judged as materialized (
  select o.uid,
    w.uid is null as gone,
    w.uid is null or w.passed_at > o.asked_at as passed,
    w.holder is null and w.due_at > statement_timestamp() and coalesce(w.passed_at <= o.asked_at, true) as missed,
    r.conditions @> '[{"type":"Ready","status":"True"}]' as ready,
    (select c ->> 'reason' from jsonb_array_elements(r.conditions) as c where c ->> 'type' = 'Ready') as reason
  from open o
  left join work w on w.shard = $1::smallint and w.uid = o.uid
  left join resources r on r.shard = $1::smallint and r.uid = o.uid
),
done as (
  update replay_items i set state = 'done', ready_after = j.gone or j.ready, reason = case when not j.ready then j.reason end
  from judged j
  where i.shard = $1::smallint and i.replay = $2::text and i.uid = j.uid and i.state = 'asked' and j.passed
),
again as (
  update replay_items i set state = 'waiting', asked_at = null
  from judged j
  where i.shard = $1::smallint and i.replay = $2::text and i.uid = j.uid and i.state = 'asked' and j.missed
)
select case when (select count(*) from open) = $4::int then (select max(uid) from open) end as last`,
});
