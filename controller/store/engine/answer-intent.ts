import { statement } from '#controller/store/statement.ts';
import { wokenDueAt } from './fragments.ts';

/**
 * Stores the answer of a send by nonce, whoever holds the row by now, and makes the row due: $1 shard, $2 uid, $3 nonce, $4 state,
 * $5 result as JSON text. An open attempt takes the answer. A retired one that was done after all contradicts: a duplicate is never
 * silent, and what else was done of the effect comes back with it: a person decides of all. Anything else stays as it is. Repeating it
 * changes nothing more but one wake.
 */
export const answerIntent = statement<
  [shard: number, uid: string, nonce: string, state: string, result: string],
  { uid: string }
>({
  name: 'answer_intent',
  repeatable: true,
  text: `
with locked as materialized (
  select w.uid from work w where w.shard = $1::smallint and w.uid = $2::text for update
),
known as materialized (
  select $2::text as uid from (select count(*) from locked) l
),
answered as (
  update intents i set
    state = case when i.state = 'done' then i.state else $4::text end,
    result = case when $5::text::jsonb = 'null' then i.result else $5::text::jsonb end,
    answered_at = statement_timestamp(),
    contradicts = i.contradicts or i.state = 'retired',
    archived = i.archived and i.state <> 'retired'
  from known k
  where i.shard = $1::smallint and i.uid = k.uid and i.nonce = $3::text
    and (i.state in ('sending', 'unknown')
      or $4::text = 'done' and (i.state = 'retired' or i.state = 'done' and i.result = 'null'))
),
shown as (
  update intents i set archived = false
  from known k, intents t
  where i.shard = $1::smallint and i.uid = k.uid and i.state = 'done' and i.archived
    and t.shard = $1::smallint and t.uid = k.uid and t.nonce = $3::text and t.state = 'retired' and $4::text = 'done'
    and i.effect = t.effect
)
update work w set wake_seq = w.wake_seq + 1, due_at = least(w.due_at, ${wokenDueAt})
from known k
where w.shard = $1::smallint and w.uid = k.uid
  and exists (select from intents i where i.shard = $1::smallint and i.uid = k.uid and i.nonce = $3::text)
returning w.uid`,
});
