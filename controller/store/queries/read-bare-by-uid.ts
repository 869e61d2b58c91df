import { bareViewColumns, type ViewColumns } from '#controller/store/resource-columns.ts';
import { statement } from '#controller/store/statement.ts';
import { viewsByUidText } from './read-views-text.ts';

/** As read_views_by_uid, without what may be heavy. */
export const readBareByUid = statement<[shard: number, workspace: string, uids: readonly string[]], ViewColumns>({
  name: 'read_bare_by_uid',
  repeatable: true,
  text: viewsByUidText(bareViewColumns),
});
