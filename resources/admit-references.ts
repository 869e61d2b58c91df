import { ApiError, validationError } from './errors.ts';
import type { Issue } from './errors.ts';
import type { JsonObject } from './json.ts';
import type { Kind } from './kind.ts';
import { keyText } from './reference.ts';
import type { KindRegistry } from './registry.ts';
import type { ResourceKey, ResourceRow } from './resource.ts';

/** A row as it would be after the change. */
export interface Proposed {
  readonly kind: Kind;
  readonly key: ResourceKey;
  readonly spec: JsonObject;
  readonly path: string;
}

/** Longest chain of `needs` references that is followed when looking for a cycle. */
export const needsDepthMax = 32;

/**
 * Refuses references to what does not exist or is being deleted (VALIDATION, both modes), and circles of `needs` (CYCLE).
 * References to rows of the same request are satisfied by it.
 */
export function admitReferences(
  proposed: readonly Proposed[],
  rows: ReadonlyMap<string, ResourceRow>,
  kinds: KindRegistry,
): void {
  const inRequest = new Map(proposed.map((row) => [keyText(row.key), row]));
  const issues = proposed.flatMap((row) => danglingOf(row, rows, inRequest));
  if (issues.length > 0) throw validationError(issues);
  for (const row of proposed) refuseCycle(row, rows, { inRequest, kinds });
}

function danglingOf(
  row: Proposed,
  rows: ReadonlyMap<string, ResourceRow>,
  inRequest: ReadonlyMap<string, Proposed>,
): Issue[] {
  return row.kind.references(row.spec, row.key.workspace, row.key.name).flatMap((reference) => {
    const key = keyText({ workspace: row.key.workspace, kind: reference.kind, name: reference.name });
    const found = rows.get(key);
    const path = `${row.path}.${reference.path}`;
    const name = `${reference.kind} "${reference.name}"`;
    if (found !== undefined && found.deletedAt !== null) {
      return [{ path, message: `${name} is being deleted.`, allowed: null }];
    }
    if (found !== undefined || inRequest.has(key)) return [];
    return [
      {
        path,
        message: `${name} does not exist in workspace "${row.key.workspace}". Declare it first, or in the same apply_all.`,
        allowed: null,
      },
    ];
  });
}

interface Graph {
  readonly inRequest: ReadonlyMap<string, Proposed>;
  readonly kinds: KindRegistry;
}

function refuseCycle(start: Proposed, rows: ReadonlyMap<string, ResourceRow>, graph: Graph): void {
  const first = keyText(start.key);
  /** How far from the start a row was when it was walked from: again only from farther, or a ladder of pairs has 2^depth ways. */
  const walkedAt = new Map<string, number>();
  const walk = (key: string, path: readonly string[]): void => {
    if (path.length > needsDepthMax) throw cycle(start, [...path, key], `longer than ${needsDepthMax} references`);
    if ((walkedAt.get(key) ?? -1) >= path.length) return;
    walkedAt.set(key, path.length);
    for (const next of needsOf(key, rows, graph)) {
      if (next === first) throw cycle(start, [...path, key, next], 'circular');
      if (!path.includes(next)) walk(next, [...path, key]);
    }
  };
  walk(first, []);
}

function needsOf(key: string, rows: ReadonlyMap<string, ResourceRow>, graph: Graph): string[] {
  const proposed = graph.inRequest.get(key);
  const row = rows.get(key);
  const kind = proposed?.kind ?? (row === undefined ? undefined : graph.kinds.get(row.kind));
  const spec = proposed?.spec ?? row?.spec;
  const at = proposed?.key ?? row;
  if (kind === undefined || spec === undefined || at === undefined) return [];
  return kind
    .references(spec, at.workspace, at.name)
    .filter((reference) => reference.mode === 'needs')
    .map((reference) => keyText({ workspace: at.workspace, kind: reference.kind, name: reference.name }));
}

function cycle(start: Proposed, path: readonly string[], what: string): ApiError {
  return new ApiError('CYCLE', `The references are ${what}: ${path.join(' → ')}.`, { path: `${start.path}.spec` });
}
