import type { BlockedBy, Remedy } from '#resources/condition.ts';
import type { Topic } from '#resources/topic.ts';
import type { Action, Effect } from '#controller/contract.ts';

/**
 * Every way in which a pass can end (architecture §5, Outcomes). A union, so that a combination that makes no sense cannot be
 * written; settle.ts answers each of them in one total switch.
 */
export type Outcome =
  | { readonly type: 'converged' }
  /** Actions were carried out, or a step towards them was committed. `effect` is that of the plan's first action. */
  | { readonly type: 'acted'; readonly effect: Effect; readonly steps: readonly Action[] }
  | {
      readonly type: 'wait';
      readonly reason: string;
      readonly message: string;
      readonly retryAfterMs: number;
    }
  /** The next action was acknowledged less than visibilityMs ago: reads may not show it yet. */
  | { readonly type: 'verifying'; readonly retryAfterMs: number }
  /** A referenced row is missing, going or not ready. */
  | {
      readonly type: 'blocked';
      readonly reason: string;
      readonly message: string;
      readonly blockedBy: readonly BlockedBy[];
    }
  | Stalled
  /** The provider's own table says final. */
  | (Omit<Stalled, 'type'> & { readonly type: 'rejected'; readonly providerCode: string })
  | { readonly type: 'credential'; readonly stalled: boolean; readonly reason: string; readonly account: Account }
  /** The breaker of the account is open. */
  | { readonly type: 'unavailable'; readonly account: Account }
  | Retryable
  | Refused
  | { readonly type: 'throttled'; readonly retryAfterMs: number }
  /** The spec or a wake moved under the pass. */
  | { readonly type: 'superseded' }
  /** A send whose answer is lost; looked at again, never sent again unless it is harmless. */
  | {
      readonly type: 'unknown';
      readonly reason: string;
      readonly message: string;
      readonly retryAfterMs: number | null;
    }
  | {
      readonly type: 'bug';
      readonly reason: 'InternalError' | 'InvariantViolated' | 'DeadlineExceeded';
      readonly message: string;
    }
  /** A `once` row whose effect is acknowledged: nothing is observed again. */
  | { readonly type: 'finished'; readonly removeInMs: number };

export interface Account {
  readonly provider: string;
  readonly account: string;
}

export interface Stalled {
  readonly type: 'stalled';
  readonly reason: string;
  readonly message: string;
  readonly clearsOn: readonly Topic[];
  readonly remedy: readonly Remedy[];
  /** Set when it also waits for this account's breaker: the settle looks again whether that is still open. */
  readonly parkedOn?: Account;
}

/** A gate said no. `as` is the condition that says so. */
export interface Refused {
  readonly type: 'refused';
  readonly as: 'Suspended' | 'DeletionBlocked' | 'Stalled' | 'Observed';
  readonly reason: string;
  readonly message: string;
  readonly clearsOn: readonly Topic[];
  readonly remedy: readonly Remedy[];
  /** When the gate opens by itself; null: by its topics only. */
  readonly retryAfterMs: number | null;
  /** Set when the gate is a freeze: the settle looks again whether it still stands. */
  readonly parkedOn?: Account;
}

/** Worth trying again; the code is the provider's, of a refusal. */
export interface Retryable {
  readonly type: 'retryable';
  readonly message: string;
  readonly reason?: string;
  readonly providerCode?: string;
}
