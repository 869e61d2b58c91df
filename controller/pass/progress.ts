import type { AnyReconciler, DeclareAction, Target } from '#controller/contract.ts';
import { desiredOf } from './deletion.ts';
import type { Dependency } from './dependencies.ts';
import type { IntentReview } from './intents.ts';
import type { Account, Outcome } from './outcome.ts';
import type { Look, PassFacts } from './pass-facts.ts';
import { databaseNow, newRecord } from './scope.ts';
import type { HeldLease } from '#controller/lease/lease.ts';
import type { Batch, ClaimedRow } from '#controller/queue/claim.ts';
import type { PassDeps, PassScope } from './scope.ts';
import type { Settle } from '#controller/store/rows.ts';

/** One pass under way, and what it has come to so far. */
export interface Pass {
  readonly scope: PassScope;
  readonly reconciler: AnyReconciler;
  /** Filled in as the pass goes on, so that a pass that is cut off has what it had. */
  readonly progress: Progress;
}

export interface Progress {
  look: Look | null;
  dependencies: readonly Dependency[] | null;
  review: IntentReview | null;
  dropAnnounced: readonly string[];
  acknowledged: string[];
  operations: Settle['operations'][number][];
  /** Carried out in the settle transaction. */
  declare: DeclareAction | null;
  /** This pass has set finalizing_at. */
  finalizing: boolean;
  /** Nothing of ours is left: the row goes. */
  remove: 'deleted' | 'expired' | null;
}

/** Nothing seen and nothing done yet. */
function createProgress(): Progress {
  return {
    look: null,
    dependencies: null,
    review: null,
    dropAnnounced: [],
    acknowledged: [],
    operations: [],
    declare: null,
    finalizing: false,
    remove: null,
  };
}

export interface PassStart {
  readonly claimed: ClaimedRow;
  readonly batch: Batch;
  readonly probe: boolean;
  readonly reconciler: AnyReconciler;
  readonly lease: HeldLease;
  readonly holder: string;
}

/** A pass over a claimed row, not begun. */
export function createPass({ claimed, batch, probe, reconciler, lease, holder }: PassStart): Pass {
  const { claim, passRow } = claimed;
  const { shard, uid, epoch } = claim;
  const fence = { shard, uid, epoch, holder };
  const { now, readAt: begunAt, version: readVersion, shared } = batch;
  const read = { now, begunAt, readVersion, shared };
  const scope = { claim, fence, passRow, timing: reconciler.timing, lease, probe, ...read, record: newRecord(now) };
  return { scope, reconciler, progress: createProgress() };
}

/** Whose breaker and freeze govern the row; null also if the kind fails to say. */
export function accountOf(pass: Pass): Account | null {
  const { row } = pass.scope.passRow;
  try {
    return pass.reconciler.account(desiredOf(row), targetOf(pass));
  } catch {
    return null;
  }
}

/** What the kind is told of the row. */
export function targetOf({ scope, progress }: Pass): Target {
  const { row, work, intents } = scope.passRow;
  return {
    uid: row.uid,
    workspace: row.workspace,
    name: row.name,
    generation: row.generation,
    last: row.status,
    intents: progress.review?.intents ?? intents,
    incarnation: work.incarnation,
  };
}

/** What the settle is decided from, as far as the pass got. */
export function factsOf({ scope, reconciler, progress }: Pass, outcome: Outcome, deps: PassDeps): PassFacts {
  const { record } = scope;
  return {
    claim: scope.claim,
    holder: scope.fence.holder,
    passRow: scope.passRow,
    kind: reconciler.kind,
    timing: scope.timing,
    now: scope.now,
    outcome,
    look: progress.look,
    dependencies: progress.dependencies,
    listeners: [...record.listeners].sort(),
    readVersion: scope.readVersion,
    review: progress.review,
    dropAnnounced: progress.dropAnnounced,
    acknowledged: [...progress.acknowledged],
    endedAt: databaseNow(scope, deps.clock),
    operations: [...progress.operations],
    calls: [...record.calls],
    durationMs: Math.round(deps.clock.monotonic() - scope.begunAt),
    random: deps.rng.next(),
  };
}
