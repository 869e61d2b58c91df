import { statement } from '#controller/store/statement.ts';

/** Counts what a replay has left, and ends it when that is nothing: $1 replay. */
export const replayFinish = statement<[replay: string], { remaining: number }>({
  name: 'replay_finish',
  repeatable: true,
  text: `
with open as materialized (
  select count(*) as remaining from replay_items where replay = $1::text and state in ('waiting', 'asked')
),
ended as (
  update replays r set state = 'done', finished_at = statement_timestamp()
  from open o
  where r.id = $1::text and r.state = 'running' and o.remaining = 0
)
select remaining from open`,
});
