import { statement } from '#controller/store/statement.ts';
import { hearers, locked, marks, woken, wokenDueAt } from './fragments.ts';

/**
 * Fires topics of one shard, after the version was taken in the same transaction: $1 shard, $2 version, $3 topics, $4 ms between the
 * due times of two rows (0: all at once, ahead of routine work), those that are left to be drained included. Answers how many were woken.
 */
export const fireTopics = statement<
  [shard: number, version: number, topics: readonly string[], rowMs: number],
  { woken: number }
>({
  name: 'fire_topics',
  text: `
with asked as materialized (select unnest($3::text[]) as topic),
rows as materialized (select null::text as uid where false),
${hearers},
${locked},
fired as materialized (select distinct topic from asked),
${woken},
${marks('$2::bigint', '$4::float8')},
spread as materialized (
  select l.uid, case
      when $4::float8 > 0 then statement_timestamp()
        + $4::float8 * (row_number() over (order by l.uid) - 1) * interval '1 millisecond'
      else ${wokenDueAt} end as due_at
  from locked l join woken using (uid)
),
wakes as (
  update work w set
    wake_seq = w.wake_seq + 1, due_at = least(w.due_at, s.due_at)
  from spread s
  where w.shard = $1::smallint and w.uid = s.uid and w.uid = any (array(select uid from locked))
  returning w.uid
)
select count(*) as woken from wakes`,
});
