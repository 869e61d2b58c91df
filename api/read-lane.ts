import type { ResourceStore, Scope } from '#controller/store/resource-store.ts';
import { createTurns } from '#controller/store/turns.ts';

/**
 * The lane of the database for calls that stay open: waits and watches read again and again, and must not stand before the `get` or
 * `apply` of anyone.
 *
 * L1  At most `readsMax` reads are under way, of all workspaces together: the rest of the pool is for other calls.
 * L2  At most one of them is of a workspace, and workspaces take turns: a tenant's reads delay nobody's but its own.
 */
export interface ReadLane {
  run<T>(workspace: string, read: () => Promise<T>): Promise<T>;
}

/** One of these serves a process. */
export function createReadLane(readsMax: number): ReadLane {
  const turns = createTurns(readsMax);
  return {
    async run(workspace, read) {
      const lane = { name: workspace, atOnceMax: 1, waitingMax: Infinity };
      await new Promise<void>((begin) => turns.enter(lane, begin));
      try {
        return await read();
      } finally {
        turns.end(lane);
      }
    },
  };
}

/** Reads that calls which stay open repeat. */
export type OpenReads = Pick<ResourceStore, 'changes' | 'list' | 'bareByKeys' | 'bareByUid'>;

/**
 * The reads of calls that stay open. They wait for a connection apart from what else the tenant reads: one that floods the API with `get`s
 * would hold a place of the lane meanwhile.
 */
export function openReads(resources: OpenReads): OpenReads {
  const open = (scope: Scope): Scope => (scope === 'platform' ? scope : { ...scope, staysOpen: true });
  return {
    changes: (scope, input) => resources.changes(open(scope), input),
    list: (scope, query) => resources.list(open(scope), query),
    bareByKeys: (scope, workspace, keys) => resources.bareByKeys(open(scope), workspace, keys),
    bareByUid: (scope, workspace, uids) => resources.bareByUid(open(scope), workspace, uids),
  };
}
