import type { JsonObject } from './json.ts';
import type { Ms, Principal, ResourceKey, ResourceRow } from './resource.ts';
import { shardOf } from './shard.ts';

export interface NewRow {
  readonly key: ResourceKey;
  readonly uid: string;
  readonly spec: JsonObject;
  readonly by: Principal;
  readonly now: Ms;
  readonly owner?: { readonly uid: string; readonly slot: string } | null;
}

/** A row as an insert makes it, before any pass: generation 1, nothing observed. Its version is the store's to give. */
export function newRow({ key, uid, spec, by, now, owner = null }: NewRow): ResourceRow {
  return {
    shard: shardOf(key.workspace),
    uid,
    ...key,
    generation: 1,
    version: 0,
    labels: {},
    annotations: {},
    ownerUid: owner?.uid ?? null,
    slot: owner?.slot ?? null,
    spec,
    status: {},
    conditions: [],
    observedGeneration: 0,
    outputsDigest: null,
    deletedAt: null,
    deletionPolicy: null,
    undoUntil: null,
    finalizingAt: null,
    createdBy: by,
    createdAt: now,
    updatedAt: now,
  };
}
