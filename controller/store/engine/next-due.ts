import { statement } from '#controller/store/statement.ts';

/** ms until the earliest due_at that is still to come, of any shard: one index probe a shard. Null: none. */
export const nextDue = statement<[], { in_ms: number | null }>({
  name: 'next_due',
  repeatable: true,
  text: `
select ceil(extract(epoch from min(n.due_at) - statement_timestamp()) * 1000)::bigint as in_ms
from shards s
cross join lateral (
  select w.due_at from work w
  where w.shard = s.shard and w.due_at > statement_timestamp()
  order by w.due_at limit 1
) n`,
});
