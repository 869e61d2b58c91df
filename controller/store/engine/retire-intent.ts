import { statement } from '#controller/store/statement.ts';

/**
 * Retires an attempt that was certainly not sent, by nonce, whether it is announced or already sending: $1 shard, $2 uid, $3 nonce.
 */
export const retireIntent = statement<[shard: number, uid: string, nonce: string], never>({
  name: 'retire_intent',
  repeatable: true,
  text: `
with locked as materialized (
  select w.uid from work w where w.shard = $1::smallint and w.uid = $2::text for update
)
update intents i set
  state = 'retired', was_retired = true, answered_at = coalesce(i.answered_at, l.now)
from (select count(*), statement_timestamp() as now from locked) l
where i.shard = $1::smallint and i.uid = $2::text and i.nonce = $3::text
  and i.state in ('announced', 'sending', 'unknown')`,
});
