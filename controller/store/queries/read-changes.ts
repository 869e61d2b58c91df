import { viewColumns, viewJoins, type ViewColumns } from '#controller/store/resource-columns.ts';
import { statement } from '#controller/store/statement.ts';

/** A change, or nulls if there is none; the shard's own columns are of the same snapshot. */
export interface ChangeColumns extends ViewColumns {
  readonly shard_version: number;
  readonly trimmed_through: number;
  readonly change_version: number | null;
  /** Of a tombstone; null for a row. */
  readonly gone_uid: string | null;
  readonly gone_kind: string;
  readonly gone_name: string;
  readonly gone_labels: Readonly<Record<string, string>>;
}

/**
 * Changes of a workspace after a version, by version: $1 shard, $2 workspace, $3 after, $4 limit. Rows, tombstones and the shard's version come
 * from ONE snapshot: read apart, a change between the two would be skipped for ever.
 */
export const readChanges = statement<
  [shard: number, workspace: string, afterVersion: number, limit: number],
  ChangeColumns
>({
  name: 'read_changes',
  repeatable: true,
  text: `
select s.version as shard_version, s.trimmed_through, c.version as change_version, c.gone_uid, c.gone_kind, c.gone_name, c.gone_labels,
  ${viewColumns}
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
order by c.version`,
});
