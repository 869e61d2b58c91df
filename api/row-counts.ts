import type { Clock } from '#controller/clock.ts';
import type { ResourceStore, Scope } from '#controller/store/resource-store.ts';

/** How many rows a workspace has, as lately counted: the limit is a safety net, so a count of some seconds ago will do. */
export interface RowCounts {
  of(scope: Scope, workspace: string): Promise<number>;
}

/** Counting 200,000 rows takes some 20 ms: at most once in this time a workspace. */
const countEveryMs = 30_000;
/** Workspaces whose count is kept; the oldest go first. */
const keptMax = 10_000;

/** Counts through the store, and keeps each count for a while. */
export function createRowCounts(resources: Pick<ResourceStore, 'countRows'>, clock: Clock): RowCounts {
  const kept = new Map<string, { readonly at: number; readonly rows: Promise<number> }>();
  return {
    async of(scope, workspace) {
      const known = kept.get(workspace);
      if (known !== undefined && clock.monotonic() - known.at < countEveryMs) return await known.rows;
      const rows = resources.countRows(scope, workspace);
      kept.delete(workspace);
      kept.set(workspace, { at: clock.monotonic(), rows });
      const [oldest] = kept.keys();
      if (kept.size > keptMax && oldest !== undefined) kept.delete(oldest);
      return await rows.catch((error: unknown) => {
        kept.delete(workspace);
        throw error;
      });
    },
  };
}
