import { statement } from '#controller/store/statement.ts';

/** Shards where a replay has items that were asked and not yet done: $1 replay. */
export const replayOpenShards = statement<[replay: string], { shard: number }>({
  name: 'replay_open_shards',
  repeatable: true,
  text: `select distinct shard from replay_items where replay = $1::text and state = 'asked' order by shard`,
});
