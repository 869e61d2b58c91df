// Flow step 6 of 10: observe. Before: queue/claim.ts. After: step 7.
// Flow step 7 of 10: plan. Before: step 6. After: step 8.
// Flow step 8 of 10: apply. Before: step 7. After: settle.ts.
import { applyActions } from './pass/apply.ts';
import { parseTime } from './clock.ts';
import { createReadContext, plainJson, readDependencies } from './pass/context.ts';
import type { Plan } from './contract.ts';
import { desiredOf, isRemovedUnseen } from './pass/deletion.ts';
import { blockedOn } from './pass/dependencies.ts';
import { outcomeOfFailure } from './pass/failures.ts';
import { contradicted, isOpen, openUnseen, reviewIntents, staleAnnounced } from './pass/intents.ts';
import { absenceProvenAt, matchProvenAt } from './pass/landing.ts';
import { finishedRemoveInMs } from './pass/once.ts';
import type { Outcome } from './pass/outcome.ts';
import { accountOf, targetOf } from './pass/progress.ts';
import type { Pass } from './pass/progress.ts';
import { lastStood, missingEntry, missingSince } from './pass/recent-actions.ts';
import { blamed } from './pass/scope.ts';
import type { PassDeps } from './pass/scope.ts';
import { topic } from '#resources/topic.ts';

/**
 * One pass over one row: observe → resolve open intents → plan → gates → apply the actions in order (architecture §5, One pass).
 * It reads through the context and writes nothing itself; what it comes to is settled by the caller.
 *
 * 1. `needs` references are looked at first. While one is not ready, nothing is carried out.
 * 2. A row with an open send is observed only, until that is resolved, parked or may be sent again.
 * 3. The outcome is decided from the record of calls before anything that the kind answered or threw.
 */

/** Runs the pass. Null: it is over without a settle (lease lost, or the store did not answer). Never rejects. */
export async function runPass(pass: Pass, deps: PassDeps): Promise<Outcome | null> {
  let outcome: Outcome;
  try {
    outcome = await steps(pass, deps);
  } catch (error) {
    outcome = failed(pass, deps, error);
  }
  const { record } = pass.scope;
  if (record.storeFailed || record.stop === 'lost') return null;
  return record.stop === 'superseded' ? { type: 'superseded' } : outcome;
}

function failed(pass: Pass, deps: PassDeps, error: unknown): Outcome {
  const { scope } = pass;
  const { row } = scope.passRow;
  const account = blamed(error) ?? accountOf(pass);
  const outcome = outcomeOfFailure(error, {
    row,
    account,
    state: (at) => deps.gateway.state(at.provider, at.account),
  });
  if (outcome.type === 'bug') deps.log.error({ error, kind: row.kind, uid: row.uid }, 'A pass failed with a bug');
  return asked(pass, deps, outcome) ?? outcome;
}

/** Where the look itself failed, a person is asked about an open send when it is time; the look goes on, and may still resolve it. */
function asked(pass: Pass, deps: PassDeps, failure: Outcome): Outcome | null {
  const { scope, progress } = pass;
  const { row, intents, decisions } = scope.passRow;
  if (progress.look !== null || failure.type === 'bug' || failure.type === 'refused') return null;
  const open = openUnseen({ row, intents, decisions, now: scope.now, options: deps.options });
  progress.review = { changes: [], intents, decided: [], open, contradiction: null };
  if (open?.outcome.type !== 'stalled') return null;
  if (failure.type !== 'unavailable' && failure.type !== 'credential') return open.outcome;
  // Its look is still one of those that tell when the account answers again.
  const { provider, account } = failure.account;
  const clearsOn = [...open.outcome.clearsOn, topic.provider(provider, account), topic.credential(provider, account)];
  // Parked on a breaker that is closed it would be due at once, and its own looks, refused one after the other, would open it for all.
  const isShut = failure.type === 'unavailable' || failure.stalled;
  return { ...open.outcome, clearsOn, ...(isShut ? { parkedOn: failure.account } : {}) };
}

async function steps(pass: Pass, deps: PassDeps): Promise<Outcome> {
  const { scope, reconciler, progress } = pass;
  const { row, work, intents } = scope.passRow;
  // A send that took effect after it was given up is never silent, nor forgotten with a row that had finished.
  const twice = contradicted(intents) !== null;
  const removeInMs = twice ? null : finishedRemoveInMs(reconciler.kind, row, scope.now);
  if (removeInMs !== null && removeInMs > 0) {
    // A sticky field may move the generation of a finished row: it is still what it was.
    return row.observedGeneration < row.generation ? { type: 'converged' } : { type: 'finished', removeInMs };
  }
  const looksForSend = intents.some(isOpen);
  if (removeInMs !== null || (isRemovedUnseen(row) && !looksForSend))
    return removed(pass, removeInMs === null ? 'deleted' : 'expired');

  if (row.deletedAt === null) progress.dependencies = await readDependencies(scope, deps, reconciler.kind);
  const blocked = blockedOn(progress.dependencies ?? []);
  const worthALook = work.materializedAt !== null || looksForSend || twice;
  if (blocked !== null && !worthALook) return blocked;

  await observe(pass, deps);
  const held = reviewed(pass, deps);
  if (held !== null) return held;
  // What became of the send is written first; then the row goes.
  if (isRemovedUnseen(row)) return progress.review?.open?.outcome ?? { type: 'acted', effect: 'release', steps: [] };

  const plan = planned(pass);
  progress.dropAnnounced = staleAnnounced(progress.review?.intents ?? [], wantedEffects(plan));
  const open = progress.review?.open ?? null;
  switch (plan.verdict) {
    case 'converged':
      if (open !== null) return open.outcome;
      if (row.deletedAt === null) return blocked ?? unproven(pass, 'match') ?? { type: 'converged' };
      return unproven(pass, 'absence') ?? removed(pass, 'deleted');
    case 'wait':
      return waiting(plan, pass);
    case 'stalled':
      return { ...plan, type: 'stalled' };
    case 'act':
      return blocked ?? applyActions(pass, deps, plan.actions);
  }
}

function removed(pass: Pass, why: 'deleted' | 'expired'): Outcome {
  pass.progress.remove = why;
  return { type: 'converged' };
}

/** How the pass ends if what was seen proves nothing yet, or null. */
function unproven(pass: Pass, of: 'match' | 'absence'): Outcome | null {
  const { scope, progress } = pass;
  const { work, row } = scope.passRow;
  if (accountOf(pass) === null) return null;
  const earlier = { work, generation: row.generation, timing: scope.timing };
  // A row that went before would leave its object behind without an owner.
  if (of === 'absence' && lastStood(work) > 0 && missingSince(work) === null) {
    progress.acknowledged.push(missingEntry(row.generation));
  }
  const provenAt = of === 'match' ? matchProvenAt(earlier) : absenceProvenAt(earlier, scope.now);
  return provenAt > scope.now ? { type: 'verifying', retryAfterMs: provenAt - scope.now } : null;
}

/** Flow step 6. */
async function observe(pass: Pass, deps: PassDeps): Promise<void> {
  const { scope, reconciler, progress } = pass;
  const desired = desiredOf(scope.passRow.row);
  const context = createReadContext(scope, deps);
  const observed = plainJson(await reconciler.observe(desired, targetOf(pass), context));
  progress.look = {
    observed,
    report: reconciler.report(desired, observed),
    exists: reconciler.exists(observed),
    plan: null,
  };
}

/** Resolves open intents; answers how the pass ends if it may not go on. */
function reviewed(pass: Pass, deps: PassDeps): Outcome | null {
  const { scope, reconciler, progress } = pass;
  const { row, intents, decisions } = scope.passRow;
  const observed = progress.look?.observed ?? null;
  const review = reviewIntents({
    row,
    intents,
    decisions,
    now: scope.now,
    observedAsOf: scope.record.observedAsOf,
    visibilityMs: scope.timing.visibilityMs,
    resolve: (intent) => reconciler.resolve(intent, observed),
    options: deps.options,
  });
  progress.review = review;
  // A row that goes takes away all of ours, however often it is there.
  if (review.contradiction !== null && row.deletedAt === null) return review.contradiction;
  // What was observed and planned for took the contradicted answer for true: the next pass sees what was decided.
  if (review.changes.some((change) => change.contradicted)) return { type: 'acted', effect: 'update', steps: [] };
  return review.open !== null && !review.open.mayResend ? review.open.outcome : null;
}

/** Flow step 7: pure. */
function planned(pass: Pass): Plan {
  const { scope, reconciler, progress } = pass;
  const look = progress.look;
  if (look === null) throw new Error('plan comes after observe');
  const plan: Plan = reconciler.plan(desiredOf(scope.passRow.row), look.observed);
  progress.look = { ...look, plan };
  return plan;
}

function wantedEffects(plan: Plan): ReadonlySet<string> {
  const actions = plan.verdict === 'act' ? plan.actions : [];
  return new Set(actions.flatMap((action) => (action.intent === undefined ? [] : [action.intent])));
}

/** Waiting has an end where the plan names one. */
function waiting(plan: Plan & { verdict: 'wait' }, { scope }: Pass): Outcome {
  const { reason, message, retryAfterMs } = plan;
  if (plan.deadline === undefined) return { type: 'wait', reason, message, retryAfterMs };
  const leftMs = parseTime(plan.deadline) - scope.now;
  if (leftMs > 0) return { type: 'wait', reason, message, retryAfterMs: Math.min(retryAfterMs, leftMs) };
  return {
    type: 'bug',
    reason: 'DeadlineExceeded',
    message: `${reason} did not end by ${plan.deadline}: ${message}`,
  };
}
