import { statement } from '#controller/store/statement.ts';

/**
 * Takes the next topic that is due to be fired in a shard, for $1 ms: who dies with it costs the others that long. Answers it, or how
 * many ms from now the next one is due (null: none).
 */
export const takeFiring = statement<
  [leaseMs: number],
  { topic: string | null; rate_per_second: number; round: number; next_shard: number; in_ms: number | null }
>({
  name: 'take_firing',
  text: `
with due as materialized (
  select topic from firings where next_at <= statement_timestamp() order by next_at limit 1 for update skip locked
),
soon as materialized (
  select ceil(extract(epoch from min(next_at) - statement_timestamp()) * 1000)::bigint as in_ms from firings
),
taken as (
  update firings f set next_at = statement_timestamp() + $1::int * interval '1 millisecond'
  from due d where f.topic = d.topic
  returning f.topic, f.rate_per_second, f.round, f.next_shard
)
select t.topic, t.rate_per_second, t.round, t.next_shard, s.in_ms from soon s left join taken t on true`,
});
