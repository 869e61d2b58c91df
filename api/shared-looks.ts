import type { ResourceStore, Scope } from '#controller/store/resource-store.ts';
import type { ResourceView } from '#resources/resource.ts';

/**
 * Rows by uid, for many callers at once: while a statement for a workspace is under way, all who ask meanwhile share the next one. Each
 * open wait looks once a second and at each signal; with a statement each, 10,000 of them stopped the API for everyone.
 *
 * L1  What a caller hears was read after it asked.
 * L2  Only callers of one scope and workspace share: the database decides for each scope what it sees.
 */
export interface SharedLooks {
  /** The rows that are there, by uid; maybe others that were asked for at the same time. */
  look(scope: Scope, workspace: string, uids: readonly string[]): Promise<ReadonlyMap<string, ResourceView>>;
}

/** Rows of one statement. */
const uidsMax = 500;

interface Round {
  readonly uids: Set<string>;
  readonly answer: PromiseWithResolvers<ReadonlyMap<string, ResourceView>>;
}

interface Line {
  readonly scope: Scope;
  readonly workspace: string;
  /** Who asked since the statement under way was sent. */
  next: Round | null;
}

/** One of these serves a process. */
export function createSharedLooks(resources: Pick<ResourceStore, 'getByUid'>): SharedLooks {
  /** Lines with a statement under way. */
  const lines = new Map<string, Line>();

  const read = async ({ scope, workspace }: Line, uids: readonly string[]): Promise<Map<string, ResourceView>> => {
    const found = new Map<string, ResourceView>();
    for (let from = 0; from < uids.length; from += uidsMax) {
      const views = await resources.getByUid(scope, workspace, uids.slice(from, from + uidsMax));
      for (const view of views) found.set(view.row.uid, view);
    }
    return found;
  };
  const serve = async (key: string, line: Line): Promise<void> => {
    for (let round = line.next; round !== null; round = line.next) {
      line.next = null;
      await read(line, [...round.uids]).then(round.answer.resolve, round.answer.reject);
    }
    lines.delete(key);
  };
  return {
    look(scope, workspace, uids) {
      const key = `${scope === 'platform' ? '' : scope.workspace}/${workspace}`;
      const known = lines.get(key);
      const line = known ?? { scope, workspace, next: null };
      const round = (line.next ??= { uids: new Set(), answer: Promise.withResolvers() });
      for (const uid of uids) round.uids.add(uid);
      if (known === undefined) {
        lines.set(key, line);
        void serve(key, line);
      }
      return round.answer.promise;
    },
  };
}
