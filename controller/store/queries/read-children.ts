import { viewColumns, viewJoins, type ViewColumns } from '#controller/store/resource-columns.ts';
import { statement } from '#controller/store/statement.ts';

/** Direct children of a row, deleting ones included, by kind and name. */
export const readChildren = statement<[shard: number, workspace: string, ownerUid: string], ViewColumns>({
  name: 'read_children',
  repeatable: true,
  text: `
select ${viewColumns} from resources r ${viewJoins('$1::smallint')}
where r.shard = $1::smallint and r.workspace = $2::text and r.owner_uid = $3::text
order by r.kind, r.name`,
});
