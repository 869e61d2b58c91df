import type { ResourceKey } from './resource.ts';

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

/** Text of a key in messages and topics: "Bucket/acme/uploads". */
export function keyText(key: ResourceKey): string {
  return `${key.kind}/${key.workspace}/${key.name}`;
}
