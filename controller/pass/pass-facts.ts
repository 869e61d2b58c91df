import type { BlockedBy, ConditionDraft, ConditionStatus } from '#resources/condition.ts';
import type { Json } from '#resources/json.ts';
import type { Kind } from '#resources/kind.ts';
import type { Ms } from '#resources/resource.ts';
import type { Topic } from '#resources/topic.ts';
import type { Plan, Report, Timing } from '#controller/contract.ts';
import type { Dependency } from './dependencies.ts';
import type { IntentReview } from './intents.ts';
import type { Account, Outcome } from './outcome.ts';
import type { CallRecord, Claim, PassRow, Priority, Settle } from '#controller/store/rows.ts';

/** What a pass leaves behind: all that its settle is decided from. Plain data, so that the decision can be tested as a table. */
export interface PassFacts {
  readonly claim: Claim;
  readonly holder: string;
  readonly passRow: PassRow;
  readonly kind: Kind;
  readonly timing: Timing;
  /** Database time of the snapshot. */
  readonly now: Ms;
  readonly outcome: Outcome;
  /** What was seen; null if the pass did not get that far. */
  readonly look: Look | null;
  /** The rows that this one needs; null if they were not looked at. */
  readonly dependencies: readonly Dependency[] | null;
  /** Topics of what the pass read. */
  readonly listeners: readonly Topic[];
  readonly readVersion: number;
  readonly review: IntentReview | null;
  readonly dropAnnounced: readonly string[];
  /** Repeat digests of the actions acknowledged in this pass. */
  readonly acknowledged: readonly string[];
  /** Database time by the end of the pass. */
  readonly endedAt: Ms;
  readonly operations: Settle['operations'];
  readonly calls: readonly CallRecord[];
  readonly durationMs: number;
  /** In [0, 1). */
  readonly random: number;
}

export interface Look {
  readonly observed: Json;
  readonly report: Report;
  readonly exists: boolean;
  /** Null if the pass ended before its plan. */
  readonly plan: Plan | null;
}

/** What an outcome means for the row. */
export interface Verdict {
  /** False: conditions and status stay as they are. */
  readonly write: boolean;
  readonly ready: {
    readonly status: ConditionStatus;
    readonly reason: string;
    readonly message: string;
    readonly blockedBy?: readonly BlockedBy[];
  };
  /** Reconciling, Stalled, Suspended or DeletionBlocked; null: none of them. */
  readonly phase: ConditionDraft | null;
  readonly dueInMs: number;
  readonly priority: Priority;
  readonly attempts: number;
  readonly parkedOn?: Account;
  /** Topics of the verdict itself. */
  readonly listens: readonly Topic[];
}
