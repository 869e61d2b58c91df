import { storedReady } from './conditions.ts';
import type { Kind } from './kind.ts';
import type { ResourceRow } from './resource.ts';
import { topic } from './topic.ts';
import type { Topic } from './topic.ts';

/**
 * The topics that a change of one row fires (architecture §4, Wakes). `before` null: it came; `after` null: it went. Pure.
 * `refers:Workspace/…` fires only when a row goes: everything refers to its Workspace, and only the Workspace's removal waits for that.
 */
export function firesOfChange(kind: Kind, before: ResourceRow | null, after: ResourceRow | null): readonly Topic[] {
  const row = after ?? before;
  if (row === null) return [];
  const visible = before === null || after === null || outwardly(before) !== outwardly(after);
  const declared = before?.generation !== after?.generation;
  const fired = new Set<Topic>();
  if (visible) fired.add(topic.ref(row.kind, row.workspace, row.name));
  if (visible || declared) {
    if (row.ownerUid !== null) fired.add(topic.list(row.kind, row.ownerUid));
    for (const target of targets(kind, before, after)) fired.add(target);
  }
  return [...fired].sort();
}

/** What dependents can see of a row. */
function outwardly(row: ResourceRow): string {
  return `${row.deletedAt !== null}/${storedReady(row)}/${row.outputsDigest}/${row.uid}`;
}

function targets(kind: Kind, before: ResourceRow | null, after: ResourceRow | null): Topic[] {
  const gone = after === null;
  return [before, after].flatMap((row) =>
    row === null
      ? []
      : kind
          .references(row.spec, row.workspace, row.name)
          .filter((reference) => gone || reference.kind !== 'Workspace')
          .map((reference) => topic.refers(reference.kind, row.workspace, reference.name)),
  );
}
