import { statement } from '#controller/store/statement.ts';

/**
 * The next items to ask, in the order (rank, shard, uid): $1 replay, $2 at most so many, $3 ms after which an asked item no longer holds
 * up the ranks behind it. Of one rank only, and of none while an item of a rank before is waiting or was asked lately.
 */
export const replayNext = statement<
  [replay: string, limit: number, patienceMs: number],
  { shard: number; uid: string }
>({
  name: 'replay_next',
  repeatable: true,
  text: `
with front as materialized (
  select i.rank from replay_items i
  join replays r on r.id = i.replay and r.state = 'running'
  where i.replay = $1::text and i.state = 'waiting'
  order by i.rank limit 1
),
held as materialized (
  select min(b.rank) as rank from replay_items b
  where b.replay = $1::text and b.state = 'asked'
    and b.asked_at > statement_timestamp() - $3::bigint * interval '1 millisecond'
)
select i.shard, i.uid
from replay_items i
where i.replay = $1::text and i.state = 'waiting'
  and i.rank = (select f.rank from front f cross join held h where h.rank is null or h.rank >= f.rank)
order by i.shard, i.uid
limit $2::int`,
});
