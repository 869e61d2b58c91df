import { statement } from '#controller/store/statement.ts';
import type { IntentRecord } from './intent-record.ts';
import { intentColumns } from './intent-record.ts';

/**
 * Announces an intent: $1 shard, $2 uid, $3 epoch, $4 holder, $5 effect, $6 nonce, $7 args as JSON text. An announced one with equal
 * arguments is answered as it is; one with others was never sent and is replaced. Where the effect is done it is answered as that, and
 * nothing is announced: a pass does not see all that was ever done (trim_intents). No row: fenced.
 */
export const announceIntent = statement<
  [shard: number, uid: string, epoch: number, holder: string, effect: string, nonce: string, args: string],
  IntentRecord
>({
  name: 'announce_intent',
  text: `
with held as materialized (
  select w.uid, w.workspace from work w
  where w.shard = $1::smallint and w.uid = $2::text and w.epoch = $3::bigint and w.holder = $4::text
  for update
),
stands as materialized (
  select i.* from intents i join held h using (uid)
  where i.shard = $1::smallint and i.effect = $5::text and i.state = 'done'
  order by i.attempt desc limit 1
),
same as materialized (
  select i.* from intents i join held h using (uid)
  where i.shard = $1::smallint and i.effect = $5::text and i.state = 'announced' and i.args = $7::text::jsonb
    and not exists (select from stands)
),
dropped as (
  delete from intents i using held h
  where i.shard = $1::smallint and i.uid = h.uid and i.effect = $5::text and i.state = 'announced'
    and not exists (select from same)
),
made as (
  insert into intents (shard, uid, effect, attempt, workspace, nonce, state, args, announced_at)
  select $1::smallint, h.uid, $5::text,
    1 + coalesce((select max(i.attempt) from intents i
      where i.shard = $1::smallint and i.uid = h.uid and i.effect = $5::text), 0),
    h.workspace, $6::text, 'announced', $7::text::jsonb, statement_timestamp()
  from held h where not exists (select from same) and not exists (select from stands)
  returning *
)
select ${intentColumns} from (select * from stands union all select * from same union all select * from made) i`,
});
