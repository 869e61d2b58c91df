import { viewColumns, type ViewColumns } from '#controller/store/resource-columns.ts';
import { statement } from '#controller/store/statement.ts';
import { viewsByUidText } from './read-views-text.ts';

/** Rows of one workspace by uid; missing ones are left out. */
export const readViewsByUid = statement<[shard: number, workspace: string, uids: readonly string[]], ViewColumns>({
  name: 'read_views_by_uid',
  repeatable: true,
  text: viewsByUidText(viewColumns),
});
