import { bareViewColumns } from '#controller/store/resource-columns.ts';
import { statement } from '#controller/store/statement.ts';
import type { ChangeColumns } from './read-changes.ts';
import { changesText } from './read-views-text.ts';

/** As read_changes, without what may be heavy. */
export const readBareChanges = statement<
  [shard: number, workspace: string, afterVersion: number, limit: number],
  ChangeColumns
>({
  name: 'read_bare_changes',
  repeatable: true,
  text: changesText(bareViewColumns),
});
