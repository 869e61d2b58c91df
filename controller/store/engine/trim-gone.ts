import { statement } from '#controller/store/statement.ts';

/**
 * Trims what is left of rows that went more than $2 ms ago (their last revision is the one that deleted them): $1 shard, $3 rows at most.
 */
export const trimGone = statement<[shard: number, ageMs: number, limit: number], { trimmed: number }>({
  name: 'trim_gone',
  repeatable: true,
  text: `
with old as materialized (
  select v.uid from revisions v
  where v.shard = $1::smallint and not exists (select from resources r where r.shard = $1::smallint and r.uid = v.uid)
  group by v.uid
  having max(v.at) < statement_timestamp() - $2::bigint * interval '1 millisecond'
  limit $3::int
),
decided as (delete from decisions d using old o where d.shard = $1::smallint and d.uid = o.uid),
sent as (delete from intents i using old o where i.shard = $1::smallint and i.uid = o.uid),
worked as (delete from operations p using old o where p.shard = $1::smallint and p.uid = o.uid),
journal as (delete from passes p using old o where p.shard = $1::smallint and p.uid = o.uid),
gone as (delete from revisions v using old o where v.shard = $1::smallint and v.uid = o.uid returning 1)
select count(*) as trimmed from gone`,
});
