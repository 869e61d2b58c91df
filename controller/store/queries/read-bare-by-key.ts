import { bareViewColumns, type ViewColumns } from '#controller/store/resource-columns.ts';
import { statement } from '#controller/store/statement.ts';
import { viewsByKeyText } from './read-views-text.ts';

/** As read_views_by_key, without what may be heavy. */
export const readBareByKey = statement<
  [shard: number, workspaces: readonly string[], kinds: readonly string[], names: readonly string[]],
  ViewColumns
>({
  name: 'read_bare_by_key',
  repeatable: true,
  text: viewsByKeyText(bareViewColumns),
});
