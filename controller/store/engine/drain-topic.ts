import { statement } from '#controller/store/statement.ts';
import { wokenDueAt } from './fragments.ts';

/**
 * Wakes the next listeners of one draining topic: $1 shard, $2 at most so many, and where the firing was spread they become due one after
 * the other. `draining` is the last uid woken; a firing meanwhile sets it back, and then this one does not move it on. Answers the topic, if one was draining, and whether anything is left.
 */
export const drainTopic = statement<[shard: number, limit: number], { topic: string; woken: number; more: boolean }>({
  name: 'drain_topic',
  repeatable: true,
  text: `
with next as materialized (
  select topic, draining, spread_row_ms as row_ms, s.from_at,
    s.from_at + $2::int * spread_row_ms * interval '1 millisecond' as spread_at
  from topics
  cross join lateral (
    select case when spread_version = fired_version then greatest(spread_at, statement_timestamp()) end as from_at
  ) s
  where shard = $1::smallint and draining is not null order by topic limit 1
),
rest as materialized (
  select l.uid, row_number() over (order by l.uid) as place
  from next n cross join lateral (
    select l.uid from listeners l
    where l.shard = $1::smallint and l.topic = n.topic and l.uid > n.draining
    order by l.uid limit $2::int + 1
  ) l
),
locked as materialized (
  select w.uid from work w
  where w.shard = $1::smallint and w.uid = any (array(select uid from rest where place <= $2::int))
  order by w.uid for update
),
dues as materialized (
  select r.uid, coalesce(n.from_at + (r.place - 1) * n.row_ms * interval '1 millisecond', ${wokenDueAt}) as due_at
  from next n cross join rest r where r.place <= $2::int
),
wakes as (
  update work w set wake_seq = w.wake_seq + 1, due_at = least(w.due_at, d.due_at)
  from dues d
  where w.shard = $1::smallint and w.uid = d.uid and w.uid = any (array(select uid from locked))
  returning w.uid
),
moved as (
  update topics t set
    draining = (select max(uid) filter (where place = $2::int) from rest having count(*) > $2::int),
    spread_at = n.spread_at
  from next n, (select count(*) from wakes) done
  where t.shard = $1::smallint and t.topic = n.topic and t.draining = n.draining
)
select n.topic, (select count(*) from wakes) as woken,
  (select count(*) from rest) > $2::int
    or exists (select from topics t where t.shard = $1::smallint and t.draining is not null and t.topic <> n.topic) as more
from next n`,
});
