import { scopeText } from '#controller/store/resource-store.ts';
import type { Scope } from '#controller/store/resource-store.ts';
import { shardOf } from '#resources/shard.ts';
import type { Fixed } from './evaluate.ts';

/**
 * Parked waits by what they wait for. Those of one scope that want the same of the same rows are one group: it is evaluated once, and its
 * answer written once as text. A line is all that is read together: one scope's view of one workspace.
 */
export interface Group<M> {
  readonly id: string;
  readonly scope: Scope;
  readonly fixed: readonly Fixed[];
  readonly until: string;
  readonly cursor: string;
  readonly members: Set<M>;
}

export interface Line<M> {
  readonly id: string;
  readonly scope: Scope;
  readonly workspace: string;
  readonly shard: number;
  /** By uid of the rows waited for. */
  readonly groups: Map<string, Set<Group<M>>>;
  /** Changes up to here have been looked at; null: none yet. */
  version: number | null;
  /** To be looked at as they are, whether or not they changed. */
  asked: Set<Group<M>>;
  /** Of these the time is up. */
  due: Set<M>;
  /** `pausing`: it will look; `looking`: it is reading. */
  state: 'idle' | 'pausing' | 'looking';
  /** Something may have changed since it began to read. */
  again: boolean;
  lookedAt: number;
}

export interface Groups<M> {
  /** The group of such waits; it is made if there is none. */
  join(wait: Omit<Group<M>, 'id' | 'members'>): { readonly group: Group<M>; readonly made: boolean };
  /** Forgets a group that has no members. */
  drop(group: Group<M>): void;
  linesOf(group: Group<M>): readonly Line<M>[];
  /** By shard. */
  readonly shards: ReadonlyMap<number, ReadonlySet<Line<M>>>;
  readonly all: ReadonlyMap<string, Group<M>>;
}

export function createGroups<M>(): Groups<M> {
  const all = new Map<string, Group<M>>();
  const lines = new Map<string, Line<M>>();
  const shards = new Map<number, Set<Line<M>>>();

  const lineOf = (scope: Scope, workspace: string): Line<M> => {
    const id = `${scopeText(scope)}/${workspace}`;
    const known = lines.get(id);
    if (known !== undefined) return known;
    const line = newLine<M>(id, scope, workspace);
    lines.set(id, line);
    valueOf(shards, line.shard).add(line);
    return line;
  };
  const leaveLine = (group: Group<M>, line: Line<M>): void => {
    line.asked.delete(group);
    for (const uid of uidsIn(group, line.workspace)) {
      const some = line.groups.get(uid);
      some?.delete(group);
      if (some?.size === 0) line.groups.delete(uid);
    }
    if (line.groups.size > 0) return;
    lines.delete(line.id);
    const some = shards.get(line.shard);
    some?.delete(line);
    if (some?.size === 0) shards.delete(line.shard);
  };
  const linesOf = (group: Group<M>): Line<M>[] =>
    workspacesOf(group).map((workspace) => lineOf(group.scope, workspace));

  return {
    all,
    shards,
    linesOf,
    join(wait) {
      const id = `${scopeText(wait.scope)}/${wait.cursor}`;
      const known = all.get(id);
      if (known !== undefined) return { group: known, made: false };
      const { scope, fixed, until, cursor } = wait;
      const group: Group<M> = { id, scope, fixed, until, cursor, members: new Set() };
      all.set(id, group);
      for (const line of linesOf(group)) {
        for (const uid of uidsIn(group, line.workspace)) valueOf(line.groups, uid).add(group);
      }
      return { group, made: true };
    },
    drop(group) {
      all.delete(group.id);
      for (const line of linesOf(group)) leaveLine(group, line);
    },
  };
}

function newLine<M>(id: string, scope: Scope, workspace: string): Line<M> {
  return {
    id,
    scope,
    workspace,
    shard: shardOf(workspace),
    groups: new Map(),
    version: null,
    asked: new Set(),
    due: new Set(),
    state: 'idle',
    again: false,
    lookedAt: -Infinity,
  };
}

function valueOf<K, V>(map: Map<K, Set<V>>, key: K): Set<V> {
  const known = map.get(key) ?? new Set<V>();
  map.set(key, known);
  return known;
}

export function groupsOf<M>(line: Line<M>): ReadonlySet<Group<M>> {
  return new Set([...line.groups.values()].flatMap((some) => [...some]));
}

/** Of the rows that were there: what is missing from the start changes no more. */
export function workspacesOf(group: Pick<Group<unknown>, 'fixed'>): readonly string[] {
  return [...new Set(group.fixed.flatMap((one) => (one.uid === null ? [] : [one.key.workspace])))];
}

export function uidsIn(group: Pick<Group<unknown>, 'fixed'>, workspace: string): readonly string[] {
  return group.fixed.flatMap((one) => (one.uid === null || one.key.workspace !== workspace ? [] : [one.uid]));
}
