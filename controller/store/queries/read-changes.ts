import { viewColumns, type ViewColumns } from '#controller/store/resource-columns.ts';
import { statement } from '#controller/store/statement.ts';
import { changesText } from './read-views-text.ts';

/** A change, or nulls if there is none; the shard's own columns are of the same snapshot. */
export interface ChangeColumns extends ViewColumns {
  readonly shard_version: number;
  readonly trimmed_through: number;
  readonly change_version: number | null;
  /** Of a tombstone; null for a row. */
  readonly gone_uid: string | null;
  readonly gone_kind: string;
  readonly gone_name: string;
  readonly gone_labels: Readonly<Record<string, string>>;
}

/**
 * Changes of a workspace after a version, by version: $1 shard, $2 workspace, $3 after, $4 limit. Rows, tombstones and the shard's version come
 * from ONE snapshot: read apart, a change between the two would be skipped for ever.
 */
export const readChanges = statement<
  [shard: number, workspace: string, afterVersion: number, limit: number],
  ChangeColumns
>({
  name: 'read_changes',
  repeatable: true,
  text: changesText(viewColumns),
});
