import { statement } from '#controller/store/statement.ts';
import { shardCount } from '#resources/shard.ts';

const last = shardCount - 1;

/**
 * After a topic was fired in one shard: on to the next one after $4 ms, or, after the last, the end. $1 topic, $2 round, $3 shard. Asked
 * for anew meanwhile: nothing moves.
 */
export const moveFiring = statement<[topic: string, round: number, shard: number, waitMs: number], never>({
  name: 'move_firing',
  repeatable: true,
  text: `
with ended as (
  delete from firings f where f.topic = $1::text and f.round = $2::bigint and f.next_shard = $3::int and $3::int = ${last}
  returning 1
)
update firings f set next_shard = $3::int + 1, next_at = statement_timestamp() + $4::bigint * interval '1 millisecond'
where f.topic = $1::text and f.round = $2::bigint and f.next_shard = $3::int and $3::int < ${last}`,
});
