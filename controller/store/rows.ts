import type { Intent, OperationView } from '#controller/contract.ts';
import type { Condition } from '#resources/condition.ts';
import type { Json, JsonObject } from '#resources/json.ts';
import type { KeyClass, Ms, Principal, ResourceKey, ResourceRow } from '#resources/resource.ts';
import type { Topic } from '#resources/topic.ts';

export type { MutationSnapshot, RememberedRequest, RowWrite, StoredPlan } from '#resources/mutation.ts';

/**
 * The rows that cross the store's door. Times are ms by the database's clock; delays are ms from the statement's own time,
 * so that worker clocks are never compared with the database's (architecture §4, Time).
 */

/** An action acknowledged lately, so that a laggy provider is not asked twice. At most 16 of a row are kept. */
export interface RecentAction {
  readonly digest: string;
  readonly acknowledgedAt: Ms;
  readonly count: number;
}

/** A row of `work`. */
export interface WorkRow {
  readonly dueAt: Ms;
  readonly priority: Priority;
  readonly leaseUntil: Ms | null;
  readonly holder: string | null;
  readonly epoch: number;
  readonly attempts: number;
  readonly wakeSeq: number;
  readonly takenOverAt: Ms | null;
  readonly passedAt: Ms | null;
  readonly verifiedAt: Ms | null;
  readonly materializedAt: Ms | null;
  readonly incarnation: number;
  readonly recentActions: readonly RecentAction[];
}

export type Priority = 'user' | 'dependency' | 'replay' | 'resync';

/**
 * How far a wake shifts due_at into the past (architecture §5, fairness): urgent rows sort first, every waiting row is first in the end.
 * A resync is due 5 min after its time.
 */
export const dueShiftMs: Readonly<Record<Priority, number>> = {
  user: -3_600_000,
  dependency: -600_000,
  replay: 0,
  resync: 300_000,
};

/** The work of a row that no pass has seen: due at `dueAt`. */
export function freshWork(dueAt: Ms): WorkRow {
  return {
    dueAt,
    priority: 'user',
    leaseUntil: null,
    holder: null,
    epoch: 0,
    attempts: 0,
    wakeSeq: 0,
    takenOverAt: null,
    passedAt: null,
    verifiedAt: null,
    materializedAt: null,
    incarnation: 0,
    recentActions: [],
  };
}

/** A claimed key: the lease is held until `leaseMs` after the claim was SENT, by the holder's monotonic clock. */
export interface Claim {
  readonly shard: number;
  readonly uid: string;
  readonly workspace: string;
  readonly kind: string;
  readonly epoch: number;
  readonly wakeSeq: number;
  /** Database time of the claim. */
  readonly claimedAt: Ms;
}

/** What a fresh snapshot after the claim shows of a claimed row. */
export interface PassRow {
  readonly row: ResourceRow;
  readonly work: WorkRow;
  /** All intents but refused and retired ones of older attempts; newest attempt last. */
  readonly intents: readonly Intent[];
  /** Decisions not yet applied. */
  readonly decisions: readonly Decision[];
  /** The revision of the row's current generation. */
  readonly revision: Revision | null;
  /** Topics this row listens to, as stored. */
  readonly listeners: readonly Topic[];
  readonly owner: { readonly kind: string; readonly name: string } | null;
}

/** One snapshot: rows, the shard's version and the database's time, read by one statement. */
export interface Snapshot {
  readonly version: number;
  readonly now: Ms;
  readonly rows: readonly PassRow[];
}

export interface Decision {
  readonly effect: string;
  readonly outcome: 'happened' | 'did_not';
  readonly evidence: string;
  readonly by: Principal;
  readonly at: Ms;
}

/** A row of `revisions`: each spec ever declared and by whom. */
export interface Revision {
  readonly generation: number;
  readonly spec: JsonObject;
  readonly by: Principal;
  readonly requestId: string | null;
  /** Digests of the actions that an accepted plan hash approved. */
  readonly approved: readonly string[];
  /** Whether a delete quoted its name (`confirm`). */
  readonly confirmed: boolean;
  readonly at: Ms;
}

/** One provider call of a pass, in the journal. */
export interface CallRecord {
  readonly provider: string;
  readonly op: string;
  readonly mutating: boolean;
  readonly outcome: string;
  readonly durationMs: number;
}

/** A row of `passes`. `observed` and `plan` are null when over 64 KiB; the digest is always there. */
export interface PassRecord {
  readonly generation: number;
  readonly trigger: string;
  readonly observed: Json;
  readonly observedDigest: string;
  readonly plan: Json;
  readonly planDigest: string;
  /** At most 64. */
  readonly calls: readonly CallRecord[];
  readonly outcome: string;
  readonly durationMs: number;
  readonly traceId: string | null;
}

export interface StoredPass extends PassRecord {
  readonly uid: string;
  readonly epoch: number;
  readonly at: Ms;
}

/** Fenced identity of a claim: decisions of an old epoch are refused. */
export interface Fence {
  readonly shard: number;
  readonly uid: string;
  readonly epoch: number;
  readonly holder: string;
}

/** What a settled pass writes. A member that is absent is left as it is. */
export interface Settle extends Fence {
  /** As seen at the claim; moved since: the row is due at once. */
  readonly wakeSeq: number;
  /** Planned generation; the stored one moved: due at once. Status carries THIS generation. */
  readonly generation: number;
  /** Shard version of the snapshot: the lowest of all that the pass read, since every ctx.read came after it. */
  readonly readVersion: number;
  readonly claimedAt: Ms;
  readonly dueInMs: number;
  readonly priority: Priority;
  readonly attempts: number;
  /** Versioned part: present only if something of it changed. */
  readonly status?: {
    readonly status: JsonObject;
    readonly conditions: readonly Condition[];
    readonly observedGeneration: number;
    readonly outputsDigest: string | null;
  };
  /** The whole set, sorted; present only if it differs from the stored one (versioned too, with n = 0 if alone). */
  readonly listeners?: readonly Topic[];
  readonly fires: readonly Topic[];
  /** Parked on an open breaker or freeze: if `providers` no longer blocks by then, the row is due at once. */
  readonly parkedOn?: { readonly provider: string; readonly account: string };
  readonly verified: boolean;
  readonly materialized: boolean;
  readonly clearTakenOver: boolean;
  readonly recentActions?: readonly RecentAction[];
  /**
   * Intents closed by observation or decision, or found past give_up_at; `contradicted`: by a person's decision of a contradiction, which
   * may retire more of its effect that was done.
   */
  readonly intents: readonly {
    readonly nonce: string;
    readonly state: 'done' | 'retired' | 'unknown';
    readonly contradicted?: true;
  }[];
  /** Announced intents that the plan no longer asks for. */
  readonly dropAnnounced: readonly string[];
  /** Decisions that this pass applied: effect names. */
  readonly decided: readonly string[];
  readonly operations: readonly { readonly key: string; readonly op: 'start' | 'cancel'; readonly input: JsonObject }[];
  readonly pass?: PassRecord;
}

export type SettleResult = 'settled' | 'fenced';

/** How a row is removed: one fenced transaction (architecture §5, Deletion). */
export interface Removal {
  readonly settle: Settle;
  /** A finished `once` row whose time is over: it is removed although nobody deleted it. The only case without deleted_at. */
  readonly expired?: true;
  /** What outlives the row. */
  readonly retained: readonly {
    readonly kind: string;
    readonly externalRef: string;
    readonly untilInMs: number | null;
    readonly reason: string;
  }[];
  /** External name to release, with the topic `claim:…` fired. */
  readonly claim: string | null;
  /** Kinds of which no row needs this one. Rows of all others of the workspace may, known to this build or not; `needs` tells, purely. */
  readonly unrelatedKinds: readonly string[];
  readonly needs: (row: ResourceRow) => boolean;
}

/** Why a removal did not happen; the row is settled neither. */
export type RemovalResult =
  | { readonly result: 'removed' | 'fenced' | 'moved' }
  | {
      readonly result: 'blocked';
      readonly children: number;
      readonly dependents: readonly ResourceKey[];
      readonly openIntent: boolean;
    };

export interface ApiKeyRow {
  readonly id: string;
  /** HMAC-SHA-256 of the secret, hex. */
  readonly secretHash: string;
  readonly name: string;
  readonly workspace: string | null;
  readonly class: KeyClass;
  readonly scopes: readonly string[];
  readonly lineage: string;
  readonly createdAt: Ms;
  readonly expiresAt: Ms | null;
  readonly revokedAt: Ms | null;
  readonly lastUsedAt: Ms | null;
  /** Procedures per second; null: the default. */
  readonly ratePerSecond: number | null;
}

export interface OperationRow extends OperationView {
  readonly uid: string;
  readonly workspace: string;
  readonly op: string;
  readonly input: JsonObject;
  readonly cancelRequestedAt: Ms | null;
  readonly createdAt: Ms;
  readonly updatedAt: Ms;
}

/** Breaker, brake and freeze of one provider account. */
export interface ProviderRow {
  readonly provider: string;
  readonly account: string;
  readonly breaker: 'closed' | 'open';
  readonly cause: 'unavailable' | 'credential' | null;
  readonly failures: number;
  readonly openedAt: Ms | null;
  readonly blockedUntil: Ms | null;
  readonly frozen: { readonly by: string; readonly why: string; readonly until: Ms | null } | null;
  readonly credentialDigest: string | null;
}
