import type { JsonObject } from './json.ts';
import type { DeletionPolicy, Ms, Principal, ResourceKey, ResourceRow } from './resource.ts';
import type { Topic } from './topic.ts';

/** One change of a declared row, decided by admission: what putSpec writes (api and owners alike). */
export type RowWrite =
  | {
      readonly op: 'insert';
      readonly uid: string;
      readonly key: ResourceKey;
      readonly labels: Readonly<Record<string, string>>;
      readonly annotations: Readonly<Record<string, string>>;
      readonly spec: JsonObject;
      readonly by: Principal;
      readonly owner: { readonly uid: string; readonly slot: string } | null;
      readonly approved: readonly string[];
      readonly fires: readonly Topic[];
    }
  | {
      readonly op: 'update';
      readonly uid: string;
      readonly key: ResourceKey;
      readonly labels: Readonly<Record<string, string>>;
      readonly annotations: Readonly<Record<string, string>>;
      readonly spec: JsonObject;
      readonly by: Principal;
      /** False: labels or annotations alone; version moves, generation does not, nothing wakes. */
      readonly newGeneration: boolean;
      readonly approved: readonly string[];
      readonly fires: readonly Topic[];
    }
  | {
      readonly op: 'delete';
      readonly uid: string;
      readonly key: ResourceKey;
      readonly policy: DeletionPolicy;
      /** ms from now in which undelete is possible and data is not destroyed. */
      readonly undoForMs: number;
      readonly by: Principal;
      readonly confirmed: boolean;
      readonly approved: readonly string[];
      readonly fires: readonly Topic[];
    }
  | {
      readonly op: 'undelete';
      readonly uid: string;
      readonly key: ResourceKey;
      readonly by: Principal;
      readonly fires: readonly Topic[];
    };

/** What a mutation sees, read under the shard's lock: decisions on it cannot be overtaken. */
export interface MutationSnapshot {
  readonly now: Ms;
  /** Shard version that this transaction's writes will carry at most. */
  readonly version: number;
  /** Rows asked for, and those reached by `follow`. */
  readonly rows: ReadonlyMap<string, ResourceRow>;
  /** Existing children, for `childrenOf`. */
  readonly children: readonly ResourceRow[];
  /** A remembered request of the same lineage and id. */
  readonly request: RememberedRequest | null;
  readonly plan: StoredPlan | null;
}

export interface RememberedRequest {
  readonly bodyDigest: string;
  readonly results: readonly { readonly uid: string; readonly generation: number }[];
}

/** A row of `plans`: what a quoted plan hash stands for, for an hour. One hash may stand for several changes. */
export interface StoredPlan {
  readonly hash: string;
  readonly workspace: string;
  readonly ref: ResourceKey;
  /** 0: did not exist. */
  readonly baseGeneration: number;
  readonly desiredDigest: string;
  readonly actions: readonly { readonly digest: string; readonly risk: string }[];
  readonly expiresAt: Ms;
}
