import { dueShiftMs } from '#controller/store/rows.ts';
import { statement } from '#controller/store/statement.ts';

/** Asks items of one shard: their rows are due now, behind what is more urgent: $1 shard, $2 replay, $3 uids. Answers those asked. */
export const replayAsk = statement<[shard: number, replay: string, uids: readonly string[]], { uid: string }>({
  name: 'replay_ask',
  text: `
with locked as materialized (
  select w.uid from work w
  where w.shard = $1::smallint and w.uid = any ($3::text[])
  order by w.uid for update
),
counted as materialized (select count(*) from locked),
asked as (
  update replay_items i set
    state = 'asked',
    asked_at = statement_timestamp(),
    ready_before = coalesce((
      select r.conditions @> '[{"type":"Ready","status":"True"}]' from resources r
      where r.shard = $1::smallint and r.uid = i.uid), false)
  from counted
  where i.shard = $1::smallint and i.replay = $2::text and i.uid = any ($3::text[]) and i.state = 'waiting'
  returning i.uid
),
wakes as (
  update work w set
    wake_seq = w.wake_seq + 1,
    due_at = least(w.due_at, statement_timestamp() + interval '${dueShiftMs.replay} milliseconds')
  where w.shard = $1::smallint and w.uid = any (array(select uid from asked))
)
select uid from asked`,
});
