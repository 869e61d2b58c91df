import { statement } from '#controller/store/statement.ts';

/** Trims plans whose hour is over, and was not begun anew while this waited for one: $1 shard, $2 at most so many. */
export const trimPlans = statement<[shard: number, limit: number], { trimmed: number }>({
  name: 'trim_plans',
  repeatable: true,
  text: `
with old as materialized (
  select hash, workspace, kind, name from plans
  where shard = $1::smallint and expires_at < statement_timestamp()
  order by expires_at limit $2::int
),
gone as (
  delete from plans p using old o
  where p.shard = $1::smallint and p.hash = o.hash and p.workspace = o.workspace and p.kind = o.kind and p.name = o.name
    and p.expires_at < statement_timestamp()
  returning 1
)
select count(*) as trimmed from gone`,
});
