import { statement } from '#controller/store/statement.ts';
import { shardCount } from '#resources/shard.ts';

const last = shardCount - 1;

/**
 * After a topic was fired in one shard: on to the next one after $4 ms, or, after the last, the end. $1 topic, $2 round, $3 shard. Asked
 * for anew meanwhile: the same shard again.
 */
export const moveFiring = statement<[topic: string, round: number, shard: number, waitMs: number], never>({
  name: 'move_firing',
  repeatable: true,
  text: `
with turn as materialized (
  select f.round <> $2::bigint as again, case when f.last_round = f.round then f.last_shard else ${last} end as last
  from firings f where f.topic = $1::text and f.next_shard = $3::int
  for update
),
ended as (
  delete from firings f using turn t where f.topic = $1::text and not t.again and t.last = $3::int
)
update firings f set
  next_shard = case when t.again then f.next_shard else ($3::int + 1) % ${shardCount} end,
  next_at = statement_timestamp() + $4::bigint * interval '1 millisecond'
from turn t
where f.topic = $1::text and (t.again or t.last <> $3::int)`,
});
