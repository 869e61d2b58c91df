import { statement } from '#controller/store/statement.ts';

/** Shards where somebody listens to a topic: $1. One index probe a shard. */
export const listeningShards = statement<[topic: string], { shard: number }>({
  name: 'listening_shards',
  repeatable: true,
  text: `
select s.shard from shards s
where exists (select from listeners l where l.shard = s.shard and l.topic = $1::text)
order by s.shard`,
});
