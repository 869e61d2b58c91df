import { statement } from '#controller/store/statement.ts';

/**
 * Puts away the intents that no pass needs to see, so that what a pass reads of a row does not grow with its age: done ones but the newest
 * $3 of their family (the effect up to its first colon), refused and retired ones that a later attempt replaced. Of these the refused
 * are deleted after $2 ms, since they provably did not happen. A done one is NEVER deleted while its row lives: announce_intent asks for
 * it. $1 shard, $4 at most so many. A retired one that is answered as done after all comes back (answer_intent), and none of its effect is
 * put away while it is undecided.
 */
export const trimIntents = statement<
  [shard: number, ageMs: number, doneKept: number, limit: number],
  { trimmed: number }
>({
  name: 'trim_intents',
  repeatable: true,
  text: `
with ranked as materialized (
  select i.uid, i.effect, i.attempt, i.state, row_number() over (
    partition by i.uid, i.state = 'done', split_part(i.effect, ':', 1) order by i.announced_at desc, i.attempt desc) as place
  from intents i
  where i.shard = $1::smallint and not i.archived and i.state in ('done', 'refused', 'retired') and not i.contradicts
    and not exists (
      select from intents t
      where t.shard = $1::smallint and t.uid = i.uid and t.effect = i.effect and t.contradicts)
),
spent as materialized (
  select r.uid, r.effect, r.attempt from ranked r
  where case when r.state = 'done' then r.place > $3::int else exists (
    select from intents n
    where n.shard = $1::smallint and n.uid = r.uid and n.effect = r.effect and n.attempt > r.attempt) end
  limit $4::int
),
put_away as (
  update intents i set archived = true
  from spent s
  where i.shard = $1::smallint and i.uid = s.uid and i.effect = s.effect and i.attempt = s.attempt
    and i.state in ('done', 'refused', 'retired') and not i.contradicts
  returning 1
),
old as materialized (
  select i.uid, i.effect, i.attempt from intents i
  where i.shard = $1::smallint and i.archived and i.state = 'refused'
    and i.answered_at < statement_timestamp() - $2::bigint * interval '1 millisecond'
  limit $4::int
),
gone as (
  delete from intents i using old o
  where i.shard = $1::smallint and i.uid = o.uid and i.effect = o.effect and i.attempt = o.attempt
  returning 1
)
select (select count(*) from put_away) + (select count(*) from gone) as trimmed`,
});
