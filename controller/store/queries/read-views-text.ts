import { viewJoins } from '#controller/store/resource-columns.ts';

/** The texts of statements that read views, whole or bare: `columns` are `viewColumns` or `bareViewColumns`. */

/** $1 shard, $2 workspace, $3 uids. */
export const viewsByUidText = (columns: string): string => `
select ${columns} from resources r ${viewJoins('$1::smallint')}
where r.shard = $1::smallint and r.workspace = $2::text and r.uid = any ($3::text[])`;

/** $1 shard; parallel: $2 workspaces, $3 kinds, $4 names. */
export const viewsByKeyText = (columns: string): string => `
select ${columns}
from unnest($2::text[], $3::text[], $4::text[]) as k(workspace, kind, name)
cross join lateral (
  select * from resources r
  where r.shard = $1::smallint and r.workspace = k.workspace and r.kind = k.kind and r.name = k.name limit 1
) r
${viewJoins('$1::smallint')}`;

/** $1 shard, $2 workspace, $3 after, $4 limit. */
export const changesText = (columns: string): string => `
select s.version as shard_version, s.trimmed_through, c.version as change_version, c.gone_uid, c.gone_kind, c.gone_name, c.gone_labels,
  ${columns}
from shards s
left join lateral (
  (select v.version, v.uid as row_uid, null::text as gone_uid, null::text as gone_kind, null::text as gone_name, null::jsonb as gone_labels
   from resources v where v.shard = $1::smallint and v.workspace = $2::text and v.version > $3::bigint
   order by v.version limit $4::int)
  union all
  (select t.version, null, t.uid, t.kind, t.name, t.labels
   from tombstones t where t.shard = $1::smallint and t.workspace = $2::text and t.version > $3::bigint
   order by t.version limit $4::int)
  order by version limit $4::int
) c on true
left join lateral (select * from resources r where r.shard = $1::smallint and r.uid = c.row_uid limit 1) r on true
${viewJoins('$1::smallint')}
where s.shard = $1::smallint
order by c.version`;
