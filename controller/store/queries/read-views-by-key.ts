import { viewColumns, viewJoins, type ViewColumns } from '#controller/store/resource-columns.ts';
import { statement } from '#controller/store/statement.ts';

/** Rows of one shard by key; missing ones are left out. The three arrays are parallel. */
export const readViewsByKey = statement<
  [shard: number, workspaces: readonly string[], kinds: readonly string[], names: readonly string[]],
  ViewColumns
>({
  name: 'read_views_by_key',
  repeatable: true,
  text: `
select ${viewColumns}
from unnest($2::text[], $3::text[], $4::text[]) as k(workspace, kind, name)
cross join lateral (
  select * from resources r
  where r.shard = $1::smallint and r.workspace = k.workspace and r.kind = k.kind and r.name = k.name limit 1
) r
${viewJoins('$1::smallint')}`,
});
