import { statement } from '#controller/store/statement.ts';

/** Trims the items of replays that ended more than $2 ms ago, and of replays that are gone: $1 shard, $3 at most so many. */
export const trimReplayItems = statement<[shard: number, ageMs: number, limit: number], { trimmed: number }>({
  name: 'trim_replay_items',
  repeatable: true,
  text: `
with old as materialized (
  select i.replay, i.uid from replay_items i
  where i.shard = $1::smallint and not exists (
    select from replays p
    where p.id = i.replay
      and (p.finished_at is null or p.finished_at >= statement_timestamp() - $2::bigint * interval '1 millisecond'))
  limit $3::int
),
gone as (
  delete from replay_items i using old o where i.shard = $1::smallint and i.replay = o.replay and i.uid = o.uid returning 1
)
select count(*) as trimmed from gone`,
});
