import { resourceColumns, type ResourceColumns } from '#controller/store/resource-columns.ts';
import { statement } from '#controller/store/statement.ts';

/**
 * The next rows that may need a row which is to go: $1 shard, $2 workspace, $3 kinds, $4 the row's own uid, $5 after this uid,
 * $6 at most so many.
 */
export const readDependents = statement<
  [shard: number, workspace: string, kinds: readonly string[], uid: string, after: string, limit: number],
  ResourceColumns
>({
  name: 'read_dependents',
  repeatable: true,
  text: `
select ${resourceColumns} from resources r
where r.shard = $1::smallint and r.workspace = $2::text and r.kind = any ($3::text[]) and r.uid <> $4::text and r.uid > $5::text
order by r.uid
limit $6::int`,
});
