import { viewColumns, viewJoins, type ViewColumns } from '#controller/store/resource-columns.ts';
import { statement } from '#controller/store/statement.ts';

/** Rows of one workspace by uid; missing ones are left out. */
export const readViewsByUid = statement<[shard: number, workspace: string, uids: readonly string[]], ViewColumns>({
  name: 'read_views_by_uid',
  repeatable: true,
  text: `
select ${viewColumns} from resources r ${viewJoins('$1::smallint')}
where r.shard = $1::smallint and r.workspace = $2::text and r.uid = any ($3::text[])`,
});
