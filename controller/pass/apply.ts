import type { Json } from '#resources/json.ts';
import type { ResourceRow } from '#resources/resource.ts';
import { topic } from '#resources/topic.ts';
import { createWriteContext, readDependents } from './context.ts';
import type { Action, Intent } from '#controller/contract.ts';
import { isDeclare, isOperation } from './declare.ts';
import { desiredOf, forbiddenForOrphan, hasDependents, takesAway } from './deletion.ts';
import { destructionExhausted, inUndoWindow, isDestructive, reachesProvider, refusalOf } from './gates.ts';
import { intentArgs, intentStep, unknownReasonOf } from './intents.ts';
import type { Outcome } from './outcome.ts';
import { accountOf, targetOf } from './progress.ts';
import type { Pass } from './progress.ts';
import { judgeRecent, repeatDigest, sentEntry } from './recent-actions.ts';
import { recreate } from './recreate.ts';
import { onStore, stopPass } from './scope.ts';
import type { PassDeps, PassScope } from './scope.ts';

/**
 * Carries out the actions of a plan in order, each after its gates. Owns the order of the gates that touch the store.
 *
 * 1. A gate that refuses ends the pass; what was carried out before it stays acknowledged.
 * 2. An action with an intent is announced before anything of it is sent, and never sent again once it is done.
 * 3. A call whose outcome nobody knows ends the pass, whatever the kind made of it.
 * 4. `declare` ends the pass: it is carried out in the settle transaction.
 */
export async function applyActions(
  pass: Pass,
  deps: PassDeps,
  actions: readonly [Action, ...Action[]],
): Promise<Outcome> {
  const forbidden = forbiddenForOrphan(desiredOf(pass.scope.passRow.row), actions);
  if (forbidden !== null) {
    const message = `An Orphan deletion may only release, and the plan holds ${forbidden.type}.`;
    return { type: 'bug', reason: 'InvariantViolated', message };
  }
  const back = await backIntoWindow(pass, deps, actions);
  if (back !== null) return back;
  const { effect } = actions[0];
  const steps: Action[] = [];
  for (const action of actions) {
    const refusal = await refused(pass, deps, { action, actions });
    if (refusal !== null)
      return steps.length > 0 && refusal.type === 'verifying' ? { type: 'acted', effect, steps } : refusal;
    const ended = await carryOut(pass, deps, action);
    if (ended !== null) return ended;
    steps.push(action);
    pass.progress.acknowledged.push(repeatDigest(action, pass.scope.passRow.row.generation));
    if (isDeclare(action)) break;
  }
  return { type: 'acted', effect, steps };
}

interface Step {
  readonly action: Action;
  readonly actions: readonly Action[];
}

/** The gates, in their order; how the pass ends if one refuses. */
async function refused(pass: Pass, deps: PassDeps, step: Step): Promise<Outcome | null> {
  const { scope } = pass;
  const { row, revision } = scope.passRow;
  const account = accountOf(pass);
  const state = account === null ? null : deps.gateway.state(account.provider, account.account);
  const facts = { row, revision, now: scope.now, account, state, probe: scope.probe };
  return (
    refusalOf(step.action, facts) ??
    repeated(pass, step.action) ??
    (await recreate(pass, deps, step.action)) ??
    intended(pass, step.action) ??
    (await deletionGates(pass, deps, step)) ??
    (await nameClaim(pass, deps, step.action))
  );
}

/** The drift brake. Our own rows show an effect at once. */
function repeated({ scope }: Pass, action: Action): Outcome | null {
  const { row, work } = scope.passRow;
  const visibilityMs = reachesProvider(action) ? scope.timing.visibilityMs : 0;
  const judged = judgeRecent(work.recentActions, repeatDigest(action, row.generation), {
    now: scope.now,
    visibilityMs,
  });
  switch (judged.verdict) {
    case 'go':
      return null;
    case 'verify':
      // As far away as the action is old: about as late as the provider is.
      return { type: 'verifying', retryAfterMs: Math.min(judged.leftMs, Math.max(1_000, judged.sinceMs)) };
    case 'loop':
      return driftLoop(row, action);
  }
}

function driftLoop(row: ResourceRow, action: Action): Outcome {
  const { workspace, kind, name } = row;
  return {
    type: 'stalled',
    reason: 'DriftLoop',
    message:
      `The action ${action.type} was carried out again and again and did not last: something else changes it back, ` +
      'or the provider does not do what it acknowledges. It is not repeated until the spec changes.',
    clearsOn: [topic.spec(row.uid)],
    remedy: [
      {
        id: 'see-passes',
        call: { proc: 'resources.passes', input: { workspace, kind, name } },
        destructive: false,
        needs: 'declarer',
      },
    ],
  };
}

/** Whether the action's own intent, or another one, stands in its way. */
function intended({ scope, progress }: Pass, action: Action): Outcome | null {
  const { review } = progress;
  if (review === null || action.intent === undefined) return null;
  const step = intentStep(action.intent, review);
  if (step.step === 'wait') return step.outcome;
  // What this pass closed must be committed before another send is announced.
  if (review.changes.some((change) => change.state !== 'unknown')) {
    return { type: 'acted', effect: action.effect, steps: [] };
  }
  return step.step === 'send' ? null : stands(scope, action, step.intent);
}

/** The effect is done, and the plan asks for it: reads may lag for a while, and then it is a mistake of ours. */
function stands(scope: PassScope, action: Action, intent: Intent): Outcome {
  const sinceMs = scope.now - (intent.answeredAt ?? scope.now);
  const leftMs = scope.timing.visibilityMs - sinceMs;
  if (leftMs > 0) return { type: 'verifying', retryAfterMs: Math.min(leftMs, Math.max(1_000, sinceMs)) };
  const message = `${action.intent} is done and is never sent again, and the plan asks for it once more.`;
  return { type: 'bug', reason: 'InvariantViolated', message };
}

/** Dependents, destruction budget, the point of no return. */
async function deletionGates(pass: Pass, deps: PassDeps, { action, actions }: Step): Promise<Outcome | null> {
  const { scope } = pass;
  const { row } = scope.passRow;
  const { options, providers, store } = deps;
  const leaves = row.deletedAt !== null && takesAway(action);
  if (leaves) {
    const dependents = await readDependents(scope, deps);
    if (dependents.length > 0) return hasDependents(row, dependents, 0);
  }
  const counts = row.deletedAt === null || row.finalizingAt === null;
  // A deletion counts once, up to its point of no return; destroying what stays declared counts each time.
  if (isDestructive(action, row) && counts && !isBegun(pass)) {
    const { destructionsMax: max, destructionWindowMs: windowMs } = options;
    const window = { scope: 'destroy', key: row.workspace, limit: max, windowMs };
    const room = await onStore(scope, () => providers.takeWindow(window));
    if (!room.taken) return destructionExhausted(row, { max, windowMs, now: scope.now, freeAt: room.freeAt });
  }
  if (!leaves || row.finalizingAt !== null || isBegun(pass)) return null;
  const destroysData = actions.some((one) => one.destroysData === true);
  const begun = await onStore(scope, () =>
    store.beginFinalizing(scope.fence, { generation: row.generation, destroysData }),
  );
  if (begun === 'begun') {
    pass.progress.finalizing = true;
    return null;
  }
  if (begun === 'window') return inUndoWindow(row, Math.max(1_000, (row.undoUntil ?? 0) - scope.now));
  return stopPass(scope, begun === 'moved' ? 'superseded' : 'lost');
}

/** This very pass went past the point of no return. */
function isBegun({ progress }: Pass): boolean {
  return progress.finalizing;
}

/** An object arrived inside the undo window of a deletion that had none to destroy: it can be undone again. */
async function backIntoWindow(pass: Pass, deps: PassDeps, actions: readonly Action[]): Promise<Outcome | null> {
  const { scope } = pass;
  const { row } = scope.passRow;
  const leftMs = (row.undoUntil ?? 0) - scope.now;
  const destroys = actions.some((action) => action.destroysData === true);
  if (row.deletedAt === null || row.finalizingAt === null || !destroys || leftMs <= 0) return null;
  await onStore(scope, () => deps.store.clearFinalizing(scope.fence));
  return inUndoWindow(row, leftMs);
}

/** The platform-wide external name is ours before the first effect. */
async function nameClaim(pass: Pass, deps: PassDeps, action: Action): Promise<Outcome | null> {
  const { scope, reconciler } = pass;
  const { row } = scope.passRow;
  if (row.deletedAt !== null || !reachesProvider(action)) return null;
  const externalName = reconciler.kind.claims(row.spec, row.workspace, row.name);
  if (externalName === null) return null;
  const { workspace, kind, name, uid } = row;
  const whose = await onStore(scope, () => deps.store.takeClaim({ kind, externalName, workspace, uid }));
  if (whose === 'ours') return null;
  return {
    type: 'stalled',
    reason: 'NameTaken',
    message: `The name "${externalName}" is taken. Delete this ${kind} and declare it under another name.`,
    clearsOn: [topic.claim(kind, externalName)],
    remedy: [
      {
        id: 'rename',
        call: { proc: 'resources.delete', input: { workspace, kind, name, confirm: name } },
        destructive: true,
        needs: 'declarer',
      },
    ],
  };
}

/** Flow step 8, one action. Answers how the pass ends if not well, or null; throws what the kind throws. */
async function carryOut(pass: Pass, deps: PassDeps, action: Action): Promise<Outcome | null> {
  const { scope, reconciler, progress } = pass;
  if (isDeclare(action)) {
    progress.declare = action;
    return null;
  }
  if (isOperation(action)) {
    progress.operations.push({ key: action.key, op: action.op, input: action.input });
    return null;
  }
  const intent = await announced(pass, deps, action);
  if (intent?.state === 'done') return stands(scope, action, intent);
  const context = createWriteContext(scope, deps, intent);
  try {
    await reconciler.apply(desiredOf(scope.passRow.row), targetOf(pass), action, context);
  } catch (error) {
    if (scope.record.unknownOp === null) throw error;
    deps.log.warn({ error, uid: scope.claim.uid, op: scope.record.unknownOp }, 'The outcome of a call is unknown');
  }
  const op = scope.record.unknownOp;
  if (op === null) return null;
  // An intent remembers its own send.
  if (intent === null && !takesAway(action)) progress.acknowledged.push(sentEntry(scope.passRow.row.generation));
  const message = `The answer of ${op} was lost, so whether it took effect is unknown. It is looked up next.`;
  return { type: 'unknown', reason: unknownReasonOf(action), message, retryAfterMs: null };
}

/** The intent under which the action is sent: the open guarded one, or an announced one; a done one forbids it. */
async function announced(pass: Pass, deps: PassDeps, action: Action): Promise<Intent | null> {
  const { scope, progress } = pass;
  if (action.intent === undefined || progress.review === null) return null;
  const step = intentStep(action.intent, progress.review);
  if (step.step === 'send' && step.resend !== null) return step.resend;
  const effect = action.intent;
  const args: Json = intentArgs(action);
  const nonce = deps.rng.uuid();
  const intent = await onStore(scope, () => deps.store.announce(scope.fence, { effect, nonce, args }));
  return intent ?? stopPass(scope, 'lost');
}
