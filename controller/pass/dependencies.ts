import type { BlockedBy, ConditionDraft } from '#resources/condition.ts';
import type { Outcome } from './outcome.ts';

/**
 * The generic check of `needs` references (conditions.md, DependenciesReady), made before anything else of a pass. Pure.
 *
 * While one is not ready the row is observed only if there is something to see (it is materialised, or a send is open); whatever
 * the plan says, nothing is carried out, and Ready is not True.
 */
export interface Dependency {
  /** "Bucket/uploads" */
  readonly ref: string;
  readonly exists: boolean;
  readonly deleting: boolean;
  /** The STORED Ready. */
  readonly ready: boolean;
  readonly stalled: boolean;
}

type Blocked = Extract<Outcome, { type: 'blocked' }>;

/** Why the row must wait, or null. The message names at most ten. */
export function blockedOn(dependencies: readonly Dependency[]): Blocked | null {
  const blockedBy = dependencies.flatMap(problemOf);
  const [first] = blockedBy;
  if (first === undefined) return null;
  const names = blockedBy
    .map((one) => one.ref)
    .sort()
    .slice(0, 10);
  return { type: 'blocked', reason: first.reason, message: `Waiting for ${names.join(', ')}.`, blockedBy };
}

function problemOf(dependency: Dependency): BlockedBy[] {
  const reason = problemReason(dependency);
  return reason === null ? [] : [{ ref: dependency.ref, condition: 'Ready', reason }];
}

function problemReason(dependency: Dependency): string | null {
  if (!dependency.exists) return 'DependencyNotFound';
  if (dependency.deleting) return 'DependencyDeleting';
  if (dependency.ready) return null;
  return dependency.stalled ? 'DependencyFailed' : 'DependencyNotReady';
}

/** The condition; null: the row refers to nothing. */
export function dependenciesDraft(dependencies: readonly Dependency[]): ConditionDraft | null {
  if (dependencies.length === 0) return null;
  const blocked = blockedOn(dependencies);
  if (blocked === null) {
    const message = 'Everything that this needs is ready.';
    return { type: 'DependenciesReady', status: 'True', reason: 'Current', message };
  }
  const { reason, message, blockedBy } = blocked;
  return { type: 'DependenciesReady', status: 'False', reason, message, blockedBy };
}
