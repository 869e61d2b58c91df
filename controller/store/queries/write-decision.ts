import { hearers, locked, marks, wokenDueAt } from '#controller/store/engine/fragments.ts';
import { statement } from '#controller/store/statement.ts';

/**
 * A person's answer to an unknown outcome or to a contradiction, and its topic fired at the next version: under the shard's lock.
 * $1 shard, $2 workspace, $3 kind, $4 name, $5 effect, $6 outcome, $7 evidence, $8 by. No row back: there is nothing to decide, or a send of
 * the effect is still under way, of which nobody can know yet; nothing was written.
 */
export const writeDecision = statement<
  [
    shard: number,
    workspace: string,
    kind: string,
    name: string,
    effect: string,
    outcome: string,
    evidence: string,
    by: string,
  ],
  { uid: string }
>({
  name: 'write_decision',
  text: `
with open as materialized (
  select i.uid from resources r join intents i on i.shard = $1::smallint and i.uid = r.uid
  where r.shard = $1::smallint and r.workspace = $2::text and r.kind = $3::text and r.name = $4::text and i.effect = $5::text
    and (i.state in ('sending', 'unknown') or i.contradicts)
  group by i.uid
  having bool_and(i.state <> 'sending' or i.give_up_at <= statement_timestamp())
),
bumped as (
  update shards set version = version + 1 where shard = $1::smallint and exists (select from open) returning version
),
rows as (select uid from open where false),
asked as materialized (select 'decision:' || uid as topic from open),
fired as (select topic from asked),
${hearers},
${locked},
woken as (
  update work w set wake_seq = w.wake_seq + 1, due_at = least(w.due_at, ${wokenDueAt})
  where w.shard = $1::smallint and w.uid = any (array(select uid from locked))
),
${marks('(select version from bumped)')},
said as (
  insert into decisions (shard, uid, effect, at, workspace, outcome, evidence, by)
  select $1::smallint, o.uid, $5::text, statement_timestamp(), $2::text, $6::text, $7::text, $8::text::jsonb from open o
  returning uid
)
select uid from said`,
});
