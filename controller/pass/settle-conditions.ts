import { mergeConditions } from '#resources/conditions.ts';
import type { Condition, ConditionDraft, Evidence } from '#resources/condition.ts';
import { classOf } from '#resources/reasons.ts';
import { safeJson, safeText } from '#resources/text.ts';
import { parseTime } from '#controller/clock.ts';
import type { Action, Effect, Plan } from '#controller/contract.ts';
import { dependenciesDraft } from './dependencies.ts';
import { resume, suspensionOf } from './gates.ts';
import type { PassFacts, Verdict } from './pass-facts.ts';
import { topic } from '#resources/topic.ts';

/**
 * From a verdict to the conditions of the row (conditions.md). Pure.
 *
 * 1. Never Reconciling and Stalled both: a verdict has one phase.
 * 2. A condition that this pass says nothing of is kept as it is stored, its generation too.
 * 3. What says the same is the same object, so that a pass which changes nothing writes nothing.
 */
const engineTypes = new Set([
  'Ready',
  'Reconciling',
  'Stalled',
  'DependenciesReady',
  'InSync',
  'Suspended',
  'DeletionBlocked',
]);

/** The conditions after this pass; the SAME array as stored if nothing changed. */
export function settledConditions(facts: PassFacts, verdict: Verdict): readonly Condition[] {
  const { row } = facts.passRow;
  const stored = row.conditions;
  const drafts = safeJson(draftsOf(facts, verdict));
  const said = new Set(drafts.map((draft) => draft.type));
  const silent = (type: string): boolean => !said.has(type) && isKept(type, facts);
  const kept = stored.filter((condition) => silent(condition.type));
  const merged = mergeConditions(
    stored.filter((condition) => !silent(condition.type)),
    drafts,
    { generation: row.generation, now: facts.now, kind: facts.kind },
  );
  const all = [...kept, ...merged].sort((a, b) => (a.type < b.type ? -1 : 1));
  const same = all.length === stored.length && all.every((condition, index) => condition === stored[index]);
  return same ? stored : all;
}

/** Types that keep what is stored while a pass says nothing of them. */
function isKept(type: string, facts: PassFacts): boolean {
  if (type === 'InSync') return true;
  if (type === 'DependenciesReady') return facts.dependencies === null;
  return !engineTypes.has(type) && facts.look === null;
}

function draftsOf(facts: PassFacts, verdict: Verdict): ConditionDraft[] {
  const suspended = verdict.phase?.type === 'Suspended' ? null : suspendedDraft(facts);
  const dependencies = facts.dependencies === null ? null : dependenciesDraft(facts.dependencies);
  const engine = [
    readyDraft(facts, verdict),
    verdict.phase,
    suspended,
    dependencies,
    inSyncDraft(facts, verdict),
  ].filter((draft) => draft !== null);
  const reported = facts.look?.report.facts ?? [];
  return [...engine, ...reported.filter((fact) => !engineTypes.has(fact.type))];
}

/** While a row is being deleted its Ready is False / Deleting, unless nobody knows. */
function readyDraft(facts: PassFacts, { ready }: Verdict): ConditionDraft {
  const deleting = facts.passRow.row.deletedAt !== null && ready.status !== 'Unknown';
  return deleting ? { ...ready, type: 'Ready', status: 'False', reason: 'Deleting' } : { ...ready, type: 'Ready' };
}

function suspendedDraft({ passRow: { row }, now }: PassFacts): ConditionDraft | null {
  const suspension = suspensionOf(row, now);
  if (suspension === null) return null;
  return {
    type: 'Suspended',
    status: 'True',
    reason: 'SuspendedByUser',
    message: `Suspended: "${safeText(suspension.reason, 200)}". It is observed and nothing is changed.`,
    clearsOn: [topic.spec(row.uid)],
    remedy: [resume(row)],
  };
}

/** InSync is the engine's: from the plan's verdict, whatever became of its actions. Wait and stalled leave it as it is. */
function inSyncDraft(facts: PassFacts, verdict: Verdict): ConditionDraft | null {
  const plan = facts.look?.plan ?? null;
  if (plan === null) return null;
  if (plan.verdict === 'converged') {
    return { type: 'InSync', status: 'True', reason: 'Current', message: 'What exists is as declared.' };
  }
  if (plan.verdict !== 'act') return null;
  const reason = outOfSyncReason(facts, plan, verdict);
  const evidence = diffEvidence(plan.actions, facts.claim.epoch);
  return {
    type: 'InSync',
    status: 'False',
    reason,
    message: outOfSyncMessage(reason, plan.actions),
    ...(evidence === null ? {} : { evidence }),
  };
}

function outOfSyncReason(facts: PassFacts, plan: Plan & { verdict: 'act' }, verdict: Verdict): string {
  const stalled = verdict.phase?.reason;
  if (stalled === 'DriftLoop' || stalled === 'DeletedOutside') return stalled;
  const { row } = facts.passRow;
  const stored = row.conditions.find((condition) => condition.type === 'InSync');
  const wasInSync =
    stored !== undefined &&
    stored.observedGeneration === row.generation &&
    (stored.status === 'True' || classOf(stored.reason) === 'drift');
  return wasInSync || verdict.ready.reason === 'DriftDetected'
    ? 'DriftDetected'
    : progressReason(plan.actions[0].effect);
}

/** Creating, Updating or Deleting, by the first action's effect; long work is AwaitingExternal. */
export function progressReason(effect: Effect): string {
  switch (effect) {
    case 'create':
      return 'Creating';
    case 'update':
    case 'declare':
      return 'Updating';
    case 'delete':
    case 'release':
      return 'Deleting';
    case 'operation':
      return 'AwaitingExternal';
  }
}

/** Paths that a message names at most; the diff has the rest. */
const pathsNamedMax = 5;

function outOfSyncMessage(reason: string, actions: readonly Action[]): string {
  const paths = [...new Set(actions.flatMap((action) => (action.changes ?? []).map((change) => change.path)))].sort();
  const where = paths.length === 0 ? '' : ` It differs in ${paths.slice(0, pathsNamedMax).join(', ')}.`;
  const steps = [...new Set(actions.map((action) => action.type))].join(', ');
  const what =
    reason === 'DriftDetected' ? 'What exists was changed from outside' : 'What exists is not yet as declared';
  return `${what}; next: ${steps}.${where}`;
}

const changesMax = 50;

function diffEvidence(actions: readonly Action[], pass: number): Evidence | null {
  const diff = actions.flatMap((action) => action.changes ?? []).slice(0, changesMax);
  return diff.length === 0 ? null : { pass, diff };
}

/** Whether the stored Ready is True for the generation of this pass. */
export function isReadyNow(facts: PassFacts): boolean {
  const { row } = facts.passRow;
  return row.conditions.some(
    (condition) =>
      condition.type === 'Ready' && condition.status === 'True' && row.observedGeneration === row.generation,
  );
}

/** ms since the stored condition of that type has had that reason; 0 if it has another. */
export function standingForMs(facts: PassFacts, type: string, reason: string): number {
  const stored = facts.passRow.row.conditions.find((condition) => condition.type === type);
  if (stored === undefined || stored.reason !== reason) return 0;
  return Math.max(0, facts.now - parseTime(stored.lastChangeTime));
}
