import type { Json } from './json.ts';
import type { Topic } from './topic.ts';

export type ConditionStatus = 'True' | 'False' | 'Unknown';

/** What kind of thing stands in the way; each reason belongs to exactly one class (conditions.md). */
export type ReasonClass =
  | 'none'
  | 'progress'
  | 'dependency'
  | 'spec'
  | 'credential'
  | 'quota'
  | 'provider'
  | 'ownership'
  | 'money'
  | 'drift'
  | 'admin'
  | 'backup'
  | 'unknown'
  | 'internal';

/** Who must act next. */
export type Actor = 'system' | 'declarer' | 'approver' | 'operator' | 'provider';

/** A call that an agent can make, as it stands, to get on. */
export interface Remedy {
  readonly id: string;
  readonly call: { readonly proc: string; readonly input: Json };
  readonly destructive: boolean;
  /** The class of key, or scope, that the call needs: "declarer", "human", "sre", "admin". */
  readonly needs: string;
}

export interface BlockedBy {
  readonly ref: string;
  readonly condition: string;
  readonly reason: string;
}

/** One difference between the world and the declaration. Secrets appear as digests only. */
export interface Change {
  readonly path: string;
  readonly have: Json;
  readonly want: Json;
}

export interface Evidence {
  readonly pass?: number;
  readonly providerCode?: string;
  readonly diff?: readonly Change[];
}

/**
 * A condition as stored. Only the engine writes these. Sorted by type; messages hold no moving time, counter or unsorted list,
 * so that a pass which changes nothing writes nothing.
 */
export interface Condition {
  readonly type: string;
  readonly status: ConditionStatus;
  readonly reason: string;
  /** At most 300 characters. */
  readonly message: string;
  readonly observedGeneration: number;
  /** ISO-8601; moves on status only. */
  readonly lastTransitionTime: string;
  /** ISO-8601; moves with reason and message too. */
  readonly lastChangeTime: string;
  readonly class: ReasonClass;
  readonly actor: Actor;
  /** Stalled, Suspended, DeletionBlocked. */
  readonly clearsOn?: readonly Topic[];
  readonly remedy?: readonly Remedy[];
  /** Ready, DependenciesReady. */
  readonly blockedBy?: readonly BlockedBy[];
  /** Stalled, InSync=False; Reconciling after a refusal. */
  readonly evidence?: Evidence;
  /** Reconciling only, and only in the projection (joined from `work`); ISO-8601 times. */
  readonly retry?: { readonly attempt: number; readonly nextAt: string; readonly deadline: string | null };
  /** Ready only, and only in the projection (joined from `work`); ISO-8601. */
  readonly verifiedAt?: string | null;
}

/** What a reconciler says of its kind: a condition without the engine's fields. */
export interface Fact {
  readonly type: string;
  readonly status: ConditionStatus;
  readonly reason: string;
  readonly message: string;
}

/** What the engine wants a condition to say; times and generation are added by `mergeConditions`. */
export type ConditionDraft = Omit<
  Condition,
  'lastTransitionTime' | 'lastChangeTime' | 'observedGeneration' | 'class' | 'actor' | 'retry' | 'verifiedAt'
>;
