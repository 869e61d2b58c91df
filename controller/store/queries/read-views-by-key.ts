import { viewColumns, type ViewColumns } from '#controller/store/resource-columns.ts';
import { statement } from '#controller/store/statement.ts';
import { viewsByKeyText } from './read-views-text.ts';

/** Rows of one shard by key; missing ones are left out. The three arrays are parallel. */
export const readViewsByKey = statement<
  [shard: number, workspaces: readonly string[], kinds: readonly string[], names: readonly string[]],
  ViewColumns
>({
  name: 'read_views_by_key',
  repeatable: true,
  text: viewsByKeyText(viewColumns),
});
