import { statement } from '#controller/store/statement.ts';

/** Shards with a due row that nobody holds: one index probe a shard. Reads all shards, changes nothing. */
export const dueShards = statement<[], { shard: number }>({
  name: 'due_shards',
  repeatable: true,
  text: `
select s.shard from shards s
where exists (
  select from work w
  where w.shard = s.shard and w.due_at <= statement_timestamp()
    and (w.lease_until is null or w.lease_until <= statement_timestamp())
)
order by s.shard`,
});
