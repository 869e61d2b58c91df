import type { MutationInput, Scope } from '#controller/store/resource-store.ts';
import type { RowWrite } from '#controller/store/rows.ts';
import type { Principal, ResourceKey } from '#resources/resource.ts';

/** Plain writes and mutations for tests of the store. */

export const someone: Principal = { keyId: 'key1', lineage: 'lin1', class: 'human', workspace: null, scopes: ['*'] };

export const bucketKey = (name: string, workspace = 'acme'): ResourceKey => ({ workspace, kind: 'Bucket', name });

type WriteOf<Op extends RowWrite['op']> = RowWrite & { readonly op: Op };

/** A declared bucket with a random uid. */
export function insertOf(key: ResourceKey, more: Partial<WriteOf<'insert'>> = {}): WriteOf<'insert'> {
  const plain = { labels: {}, annotations: {}, spec: {}, owner: null, approved: [], fires: [] };
  return { op: 'insert', uid: crypto.randomUUID(), key, by: someone, ...plain, ...more };
}

/** A new generation of a row. */
export function updateOf(uid: string, key: ResourceKey, more: Partial<WriteOf<'update'>> = {}): WriteOf<'update'> {
  const plain = { labels: {}, annotations: {}, spec: {}, newGeneration: true, approved: [], fires: [] };
  return { op: 'update', uid, key, by: someone, ...plain, ...more };
}

/** A mutation that reads `reads` and does what `decide` says. */
export function mutationOf(
  scope: Scope,
  decide: MutationInput['decide'],
  more: Partial<MutationInput> = {},
): MutationInput {
  return { scope, workspace: 'acme', reads: [], follow: () => [], decide, ...more };
}
