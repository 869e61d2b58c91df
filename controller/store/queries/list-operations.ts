import { operationColumns, type OperationColumns } from '#controller/store/operation-columns.ts';
import { statement } from '#controller/store/statement.ts';

/** Operations of a workspace, or of one row ($3) and one key ($4) of it, newest first. */
export const listOperations = statement<
  [shard: number, workspace: string, uid: string | null, key: string | null, limit: number],
  OperationColumns
>({
  name: 'list_operations',
  repeatable: true,
  text: `
select ${operationColumns} from operations
where shard = $1::smallint and workspace = $2::text
  and ($3::text is null or uid = $3::text) and ($4::text is null or key = $4::text)
order by created_at desc, uid, key limit $5::int`,
});
