import { statement } from '#controller/store/statement.ts';

/** Notes that a shard is filled, the last of them that the replay runs: $1 replay, $2 shard. */
export const replayFilled = statement<[replay: string, shard: number], never>({
  name: 'replay_filled',
  repeatable: true,
  text: `
update replays set
  filled_through = greatest(filled_through, $2::smallint),
  state = case when $2::smallint = 63 then 'running' else state end
where id = $1::text and state = 'filling'`,
});
