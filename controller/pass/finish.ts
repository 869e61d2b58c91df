import { firesOfChange } from '#resources/changes.ts';
import { topic } from '#resources/topic.ts';
import type { Topic } from '#resources/topic.ts';
import { declareInput, refusedChildren } from './declare.ts';
import { hasDependents, needs } from './deletion.ts';
import type { Outcome } from './outcome.ts';
import type { PassFacts } from './pass-facts.ts';
import { factsOf } from './progress.ts';
import type { Pass } from './progress.ts';
import type { Flusher } from '#controller/queue/flush.ts';
import type { Wake } from '#controller/queue/wake.ts';
import { isSilence } from './scope.ts';
import type { PassDeps } from './scope.ts';
import { settlePass } from '#controller/settle.ts';
import type { RemovalResult, Settle } from '#controller/store/rows.ts';

/**
 * Gives a claim back with what the pass came to. Most settles go through the batches; two are transactions of their own: children
 * that are declared, and a row that goes. Where the store refuses one of these, the pass has another outcome and settles with that.
 */
export interface FinishDeps {
  readonly pass: PassDeps;
  readonly flusher: Flusher;
  readonly wake: Pick<Wake, 'due' | 'settled'>;
  /** Fires a topic that spans shards, in all of them, some time soon. */
  readonly fire: (name: Topic) => void;
}

/** Rejects if the store does not answer: the lease lapses, and the row is claimed again. */
export async function finishPass(pass: Pass, outcome: Outcome, deps: FinishDeps): Promise<Outcome> {
  const facts = factsOf(pass, outcome, deps.pass);
  const { declare, remove } = pass.progress;
  if (remove !== null && outcome.type === 'converged')
    return orCulprit(facts, deps, () => removeRow(pass, facts, deps));
  if (declare !== null && outcome.type === 'acted') {
    return orCulprit(undeclared(facts, outcome), deps, () => declareChildren(pass, facts, deps));
  }
  return write(facts, deps);
}

/** A transaction that the database refuses would be refused again: the row settles as a bug of ours instead of lapsing for ever. */
async function orCulprit(facts: PassFacts, deps: FinishDeps, transact: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await transact();
  } catch (error) {
    if (isSilence(error)) throw error;
    const { uid } = facts.passRow.row;
    deps.pass.log.error({ error, uid }, 'The database refused a settle; the row settles as InternalError');
    return write(asCulprit(facts), deps);
  }
}

async function write(facts: PassFacts, deps: FinishDeps): Promise<Outcome> {
  const { options } = deps.pass;
  const settle = settlePass(facts, options);
  await deps.flusher.settle(settle, () => settlePass(asCulprit(facts), options));
  lookAgain(settle, deps);
  return facts.outcome;
}

/** The database refused what this pass wrote: nothing of what was seen is written, and the text is fixed. */
function asCulprit(facts: PassFacts): PassFacts {
  const message = 'The database refused what the operator wanted to write of this resource; the operator has a bug.';
  const outcome: Outcome = { type: 'bug', reason: 'InternalError', message };
  return { ...facts, outcome, look: null, dependencies: null, calls: [], operations: [] };
}

function lookAgain({ shard, dueInMs }: Settle, { wake }: FinishDeps): void {
  wake.due(shard, dueInMs);
}

async function declareChildren(pass: Pass, facts: PassFacts, deps: FinishDeps): Promise<Outcome> {
  const { store, kinds, rng, options } = deps.pass;
  const { row, revision } = facts.passRow;
  const children = pass.progress.declare?.children ?? [];
  if (children.length > options.childrenMax) {
    const message = `The plan declares ${children.length} children; at most ${options.childrenMax} are allowed.`;
    return write(undeclared(facts, { type: 'bug', reason: 'InvariantViolated', message }), deps);
  }
  const settle = settlePass(facts, options);
  const input = declareInput({ settle, owner: row, revision, children, kinds, uuid: () => rng.uuid() });
  const answer = await store.settleDeclare(input);
  deps.wake.settled(row.shard);
  if (answer.result === 'refused') return write(undeclared(facts, refusedChildren(row, answer.refusal)), deps);
  lookAgain(settle, deps);
  return facts.outcome;
}

/** `declare` is the last action of its pass, and it was not carried out. */
function undeclared(facts: PassFacts, outcome: Outcome): PassFacts {
  return { ...facts, outcome, acknowledged: facts.acknowledged.slice(0, -1) };
}

async function removeRow(pass: Pass, facts: PassFacts, deps: FinishDeps): Promise<Outcome> {
  const { store, kinds, options } = deps.pass;
  const { row } = facts.passRow;
  const { kind } = facts;
  const { status: _status, ...settle } = settlePass(facts, options);
  const expired = pass.progress.remove === 'expired';
  const claim = kind.claims(row.spec, row.workspace, row.name);
  const answer = await store.settleRemoval({
    settle: { ...settle, fires: firesOfChange(kind, row, null) },
    ...(expired ? { expired } : {}),
    retained: [],
    claim,
    unrelatedKinds: kinds.unrelatedTo(kind.name),
    needs: (other) => needs(kinds.get(other.kind), other, row),
  });
  deps.wake.settled(row.shard);
  // The removal fired it in its own shard; who waits for the name is most likely of another workspace, so of another shard.
  if (answer.result === 'removed' && claim !== null) deps.fire(topic.claim(kind.name, claim));
  const outcome = keptOutcome(answer, facts, { expired, parkedMs: options.parkedMs });
  if (outcome === null) return facts.outcome;
  return write({ ...facts, outcome }, deps);
}

/** How the pass ends whose row did not go; null: it went, or is another holder's. */
function keptOutcome(
  answer: RemovalResult,
  { passRow: { row } }: PassFacts,
  { expired, parkedMs }: { expired: boolean; parkedMs: number },
): Outcome | null {
  if (answer.result === 'removed' || answer.result === 'fenced') return null;
  if (expired) return { type: 'finished', removeInMs: parkedMs };
  if (answer.result !== 'blocked') return { type: 'superseded' };
  if (answer.openIntent) {
    const message = 'A call was sent whose outcome is unknown; the resource goes when that is known.';
    return { type: 'unknown', reason: 'DeleteOutcomeUnknown', message, retryAfterMs: null };
  }
  return hasDependents(row, answer.dependents, answer.children);
}
