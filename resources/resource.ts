import type { Condition } from './condition.ts';
import type { JsonObject } from './json.ts';

/** Milliseconds since the epoch, by the database's clock unless said otherwise. */
export type Ms = number;
export type DeletionPolicy = 'Delete' | 'Orphan';
export type KeyClass = 'agent' | 'human' | 'ci' | 'sre';

/** Who did something: fixed when the key was made. `lineage` survives rotation. */
export interface Principal {
  readonly keyId: string;
  readonly lineage: string;
  readonly class: KeyClass;
  /** null: platform-wide. */
  readonly workspace: string | null;
  readonly scopes: readonly string[];
}

/** Names a row as users do. */
export interface ResourceKey {
  readonly workspace: string;
  readonly kind: string;
  readonly name: string;
}

/** A row of `resources`, times in ms. `spec` is the defaulted spec; `status` holds the kind's fields, not the conditions. */
export interface ResourceRow {
  readonly shard: number;
  readonly uid: string;
  readonly workspace: string;
  readonly kind: string;
  readonly name: string;
  readonly generation: number;
  readonly version: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly ownerUid: string | null;
  readonly slot: string | null;
  readonly spec: JsonObject;
  readonly status: JsonObject;
  readonly conditions: readonly Condition[];
  /** 0 before the first settled pass. */
  readonly observedGeneration: number;
  readonly outputsDigest: string | null;
  readonly deletedAt: Ms | null;
  readonly deletionPolicy: DeletionPolicy | null;
  readonly undoUntil: Ms | null;
  readonly finalizingAt: Ms | null;
  readonly createdBy: Principal;
  readonly createdAt: Ms;
  readonly updatedAt: Ms;
}

/** A row with what the projection joins from elsewhere. */
export interface ResourceView {
  readonly row: ResourceRow;
  readonly work: { readonly attempts: number; readonly dueAt: Ms; readonly verifiedAt: Ms | null } | null;
  readonly owner: { readonly kind: string; readonly name: string } | null;
}

/** A resource as every door shows it (conditions.md, Shape). Unset metadata is null, never missing. */
export interface Resource {
  readonly apiVersion: 'vibn.dev/v1';
  readonly kind: string;
  readonly metadata: {
    readonly workspace: string;
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
    readonly uid: string;
    readonly generation: number;
    readonly version: number;
    readonly createdAt: string;
    readonly updatedAt: string;
    readonly owner: { kind: string; name: string; uid: string; slot: string } | null;
    readonly deletedAt: string | null;
    readonly undoUntil: string | null;
  };
  readonly spec: JsonObject;
  readonly status: Readonly<Record<string, unknown>> & {
    readonly observedGeneration: number;
    readonly conditions: readonly Condition[];
  };
}
