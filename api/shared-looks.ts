import { scopeText } from '#controller/store/resource-store.ts';
import type { ResourceStore, Scope } from '#controller/store/resource-store.ts';
import { keyText } from '#resources/reference.ts';
import type { ResourceKey, ResourceView } from '#resources/resource.ts';
import type { ReadLane } from './read-lane.ts';

/**
 * Rows for many callers at once: while a statement for a workspace is under way, all who ask meanwhile share the next one. With a
 * statement each, 10,000 waits stopped the API for everyone.
 *
 * L1  What a caller hears was read after it asked.
 * L2  Only callers of one scope and workspace share: the database decides for each scope what it sees.
 */
export interface SharedLooks<T> {
  /** The rows that are there, in no order; maybe others too, that were asked for at the same time. */
  look(scope: Scope, workspace: string, wanted: readonly T[]): Promise<readonly ResourceView[]>;
}

export interface SharedLooksInput<T> {
  /** What makes two that are asked for the same. */
  readonly textOf: (wanted: T) => string;
  /** One statement, for at most `wantedMax`. */
  readonly read: (scope: Scope, workspace: string, wanted: readonly T[]) => Promise<readonly ResourceView[]>;
}

/** Rows of one statement. */
export const wantedMax = 500;

interface Round<T> {
  readonly wanted: Map<string, T>;
  readonly answer: PromiseWithResolvers<readonly ResourceView[]>;
}

interface Line<T> {
  readonly scope: Scope;
  readonly workspace: string;
  /** Who asked since the statement under way was sent. */
  next: Round<T> | null;
}

/** One of these serves a process. */
export function createSharedLooks<T>({ textOf, read }: SharedLooksInput<T>): SharedLooks<T> {
  /** Lines with a statement under way. */
  const lines = new Map<string, Line<T>>();

  const readAll = async ({ scope, workspace }: Line<T>, wanted: readonly T[]): Promise<readonly ResourceView[]> => {
    const found: ResourceView[] = [];
    for (let from = 0; from < wanted.length; from += wantedMax) {
      found.push(...(await read(scope, workspace, wanted.slice(from, from + wantedMax))));
    }
    return found;
  };
  const serve = async (key: string, line: Line<T>): Promise<void> => {
    for (let round = line.next; round !== null; round = line.next) {
      line.next = null;
      await readAll(line, [...round.wanted.values()]).then(round.answer.resolve, round.answer.reject);
    }
    lines.delete(key);
  };
  return {
    look(scope, workspace, wanted) {
      const key = `${scopeText(scope)}/${workspace}`;
      const known = lines.get(key);
      const line = known ?? { scope, workspace, next: null };
      const round = (line.next ??= { wanted: new Map(), answer: Promise.withResolvers() });
      for (const one of wanted) round.wanted.set(textOf(one), one);
      if (known === undefined) {
        lines.set(key, line);
        void serve(key, line);
      }
      return round.answer.promise;
    },
  };
}

/** Rows for the first look of waits, by what they are asked for: bare, as a wait only tells how they stand. */
export interface RowLooks {
  readonly byKey: SharedLooks<ResourceKey>;
  readonly byUid: SharedLooks<string>;
}

/** In the lane of calls that stay open. */
export function createRowLooks(resources: Pick<ResourceStore, 'bareByKeys' | 'bareByUid'>, lane: ReadLane): RowLooks {
  return {
    byKey: createSharedLooks({
      textOf: keyText,
      read: (scope, workspace, keys) => lane.run(workspace, () => resources.bareByKeys(scope, workspace, keys)),
    }),
    byUid: createSharedLooks({
      textOf: (uid) => uid,
      read: (scope, workspace, uids) => lane.run(workspace, () => resources.bareByUid(scope, workspace, uids)),
    }),
  };
}
