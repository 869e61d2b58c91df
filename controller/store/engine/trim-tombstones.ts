import { statement } from '#controller/store/statement.ts';

/**
 * Trims tombstones in the order of versions and says how far: cursors below have expired. $1 shard, $2 age in ms, $3 at most so many.
 * Locks the shard's row first, as every writer does.
 */
export const trimTombstones = statement<[shard: number, ageMs: number, limit: number], { trimmed: number }>({
  name: 'trim_tombstones',
  repeatable: true,
  text: `
with mine as materialized (select shard from shards where shard = $1::smallint for update),
old as materialized (
  select t.version from mine m join tombstones t on t.shard = m.shard and t.shard = $1::smallint
  where t.deleted_at < statement_timestamp() - $2::bigint * interval '1 millisecond'
  order by t.version limit $3::int
),
gone as (
  delete from tombstones t using old o where t.shard = $1::smallint and t.version = o.version returning t.version
),
noted as (
  update shards s set trimmed_through = greatest(s.trimmed_through, g.last)
  from (select max(version) as last from gone) g
  where s.shard = $1::smallint and g.last is not null
)
select count(*) as trimmed from gone`,
});
