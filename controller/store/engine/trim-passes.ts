import { statement } from '#controller/store/statement.ts';

/** Trims passes by age, but never the newest of a row that lives: $1 shard, $2 age in ms, $3 at most so many. */
export const trimPasses = statement<[shard: number, ageMs: number, limit: number], { trimmed: number }>({
  name: 'trim_passes',
  repeatable: true,
  text: `
with old as materialized (
  select p.uid, p.epoch from passes p
  where p.shard = $1::smallint and p.at < statement_timestamp() - $2::bigint * interval '1 millisecond'
    and (
      exists (select from passes n where n.shard = $1::smallint and n.uid = p.uid and n.epoch > p.epoch)
      or not exists (select from resources r where r.shard = $1::smallint and r.uid = p.uid))
  order by p.at limit $3::int
),
gone as (
  delete from passes p using old o where p.shard = $1::smallint and p.uid = o.uid and p.epoch = o.epoch returning 1
)
select count(*) as trimmed from gone`,
});
