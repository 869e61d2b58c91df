import { statement } from '#controller/store/statement.ts';

/** Shards where a firing had more listeners than it woke. Reads all shards, over a partial index that is mostly empty. */
export const drainingShards = statement<[], { shard: number }>({
  name: 'draining_shards',
  repeatable: true,
  text: `select distinct shard from topics where draining is not null order by shard`,
});
