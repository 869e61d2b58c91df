import { resourceColumns, type ResourceColumns } from '#controller/store/resource-columns.ts';
import { statement } from '#controller/store/statement.ts';

/** One row by key and the shard's version of the same snapshot: $1 shard, $2 workspace, $3 kind, $4 name. uid is null: no such row. */
export const readKey = statement<
  [shard: number, workspace: string, kind: string, name: string],
  { shard_version: number } & (ResourceColumns | { uid: null })
>({
  name: 'read_key',
  repeatable: true,
  text: `
select s.version as shard_version, ${resourceColumns}
from shards s
left join resources r on r.shard = $1::smallint and r.workspace = $2::text and r.kind = $3::text and r.name = $4::text
where s.shard = $1::smallint`,
});
