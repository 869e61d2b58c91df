import { statement } from '#controller/store/statement.ts';

/**
 * Starts the destruction of a row, in a transaction that holds the shard's row, so that it and an undelete come one after the other:
 * $1 shard, $2 uid, $3 epoch, $4 holder, $5 planned generation, $6 whether the plan destroys data.
 * No row: fenced. `moved`: another generation, or not deleted. `window`: the data is protected still.
 */
export const beginFinalizing = statement<
  [shard: number, uid: string, epoch: number, holder: string, generation: number, destroysData: boolean],
  { result: 'begun' | 'window' | 'moved' }
>({
  name: 'begin_finalizing',
  repeatable: true,
  text: `
with held as materialized (
  select w.uid from work w
  where w.shard = $1::smallint and w.uid = $2::text and w.epoch = $3::bigint and w.holder = $4::text
  for update
),
judged as materialized (
  select r.uid, statement_timestamp() as now, case
    when r.generation <> $5::bigint or r.deleted_at is null then 'moved'
    when $6::boolean and r.undo_until > statement_timestamp() then 'window'
    else 'begun' end as result
  from resources r join held h using (uid)
  where r.shard = $1::smallint
),
begun as (
  update resources r set finalizing_at = coalesce(r.finalizing_at, j.now)
  from judged j
  where r.shard = $1::smallint and r.uid = j.uid and j.result = 'begun'
)
select result from judged`,
});
