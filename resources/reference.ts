import type { ResourceKey, ResourceRow } from './resource.ts';
import type { Kind } from './kind.ts';

/**
 * How a spec names another row of the same workspace (kinds.md, References).
 * `needs`: acyclic, blocks Ready, orders deletion and replay. `uses`: may be cyclic, blocks nothing by itself.
 */
export interface Reference {
  readonly mode: 'needs' | 'uses';
  readonly kind: string;
  readonly name: string;
  /** Dotted path in the manifest, for errors: "spec.bucket". */
  readonly path: string;
}

/** The rows that a row refers to, as keys. */
export function referencedKeys(kind: Kind, row: Pick<ResourceRow, 'spec' | 'workspace' | 'name'>): ResourceKey[] {
  return kind
    .references(row.spec, row.workspace, row.name)
    .map((reference) => ({ workspace: row.workspace, kind: reference.kind, name: reference.name }));
}

/** Text of a key in messages and topics: "Bucket/acme/uploads". */
export function keyText(key: ResourceKey): string {
  return `${key.kind}/${key.workspace}/${key.name}`;
}
