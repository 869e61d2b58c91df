import type { ConditionDraft, Remedy } from '#resources/condition.ts';
import { classOf } from '#resources/reasons.ts';
import type { ResourceRow } from '#resources/resource.ts';
import { topic } from '#resources/topic.ts';
import type { Topic } from '#resources/topic.ts';
import { bugDelayMs, doublingDelayMs, parkedDelayMs, retryDelayMs } from './backoff.ts';
import { jittered } from '#controller/clock.ts';
import type { EngineOptions } from '#controller/options.ts';
import type { Outcome, Refused } from './outcome.ts';
import { isReadyNow, progressReason, standingForMs } from './settle-conditions.ts';
import type { PassFacts, Verdict } from './pass-facts.ts';

/** The table of outcomes (architecture §5, Outcomes), row by row: conditions, due time, attempts. Pure and total. */
export function verdictOf(facts: PassFacts, options: EngineOptions): Verdict {
  const { outcome } = facts;
  switch (outcome.type) {
    case 'converged':
      return converged(facts);
    case 'acted': {
      const steps = [...new Set(outcome.steps.map((step) => step.type))].join(', ');
      const done = steps === '' ? 'The next step is prepared.' : `Carried out: ${steps}.`;
      const progress = {
        reason: progressReason(outcome.effect),
        message: `${done} What came of it is looked at next.`,
      };
      return reconciling(facts, progress, { dueInMs: 0, priority: 'dependency' });
    }
    case 'wait':
      return reconciling(facts, outcome, { dueInMs: outcome.retryAfterMs, priority: 'replay' });
    case 'verifying':
      return verifying(facts, outcome.retryAfterMs);
    case 'blocked': {
      const verdict = reconciling(facts, outcome, parked(facts, options));
      return { ...verdict, ready: { ...verdict.ready, blockedBy: outcome.blockedBy } };
    }
    case 'stalled': {
      const parkedOn = outcome.parkedOn === undefined ? {} : { parkedOn: outcome.parkedOn };
      return { ...stalled(facts, outcome, parked(facts, options)), ...parkedOn };
    }
    case 'rejected':
      return stalled(facts, outcome, parked(facts, options));
    case 'credential':
      return credential(facts, outcome, options);
    case 'unavailable':
      return unavailable(facts, outcome, options);
    case 'retryable': {
      const attempts = attemptsOf(facts) + 1;
      const reason = outcome.reason ?? 'BackingOff';
      const due = { dueInMs: retryDelayMs(attempts, facts.random, options), priority: 'replay' } as const;
      const { message, providerCode } = outcome;
      return {
        ...reconciling(facts, { reason, message, ...(providerCode === undefined ? {} : { providerCode }) }, due),
        attempts,
      };
    }
    case 'refused':
      return refused(facts, outcome, options);
    case 'throttled':
      return throttled(facts, outcome.retryAfterMs, options);
    case 'superseded':
      return { ...unwritten(facts), dueInMs: 0, priority: 'user' };
    case 'unknown': {
      const standing = standingForMs(facts, 'Reconciling', outcome.reason);
      const dueInMs = outcome.retryAfterMs ?? doublingDelayMs(standing, options.unknownFirstMs, options.unknownMaxMs);
      const verdict = reconciling(facts, outcome, { dueInMs, priority: 'replay' });
      return { ...verdict, ready: { ...verdict.ready, status: 'Unknown' } };
    }
    case 'bug': {
      const attempts = attemptsOf(facts) + 1;
      const clearsOn = [topic.engine, topic.spec(facts.passRow.row.uid)];
      const due = { dueInMs: bugDelayMs(attempts, facts.random, options), priority: 'replay' } as const;
      return { ...stalled(facts, { ...outcome, clearsOn, remedy: [replay(facts.passRow.row)] }, due), attempts };
    }
    case 'finished':
      return { ...unwritten(facts), dueInMs: outcome.removeInMs, priority: 'replay' };
  }
}

type Due = Pick<Verdict, 'dueInMs' | 'priority'>;
interface Said {
  readonly reason: string;
  readonly message: string;
  /** Of a refusal: the provider's own code. */
  readonly providerCode?: string;
}

/** A new generation starts with no attempts behind it. */
function attemptsOf({ passRow: { row, work } }: PassFacts): number {
  return row.generation === row.observedGeneration ? work.attempts : 0;
}

function parked(facts: PassFacts, options: EngineOptions): Due {
  return { dueInMs: parkedDelayMs(facts.random, options), priority: 'replay' };
}

function resync({ timing, random }: PassFacts): Due {
  return { dueInMs: jittered(timing.resyncEveryMs, 0.1, random), priority: 'resync' };
}

function converged(facts: PassFacts): Verdict {
  const { ttlAfterFinishedSeconds } = facts.kind;
  const due: Due =
    ttlAfterFinishedSeconds === null ? resync(facts) : { dueInMs: ttlAfterFinishedSeconds * 1_000, priority: 'replay' };
  const ready = { status: 'True', reason: 'Available', message: 'The declared generation is in effect.' } as const;
  return { write: true, ready, phase: null, attempts: 0, listens: [], ...due };
}

function reconciling(facts: PassFacts, { reason, message, providerCode }: Said, due: Due): Verdict {
  const evidence = providerCode === undefined ? {} : { evidence: { pass: facts.claim.epoch, providerCode } };
  return {
    write: true,
    ready: { status: 'False', reason, message },
    phase: { type: 'Reconciling', status: 'True', reason, message, ...evidence },
    attempts: attemptsOf(facts),
    listens: [],
    ...due,
  };
}

/** Conditions stay as they are. */
function unwritten(facts: PassFacts): Omit<Verdict, keyof Due> {
  const ready = { status: 'Unknown', reason: 'NotYetReconciled', message: '' } as const;
  return { write: false, ready, phase: null, attempts: attemptsOf(facts), listens: [] };
}

interface Standing extends Said {
  readonly clearsOn: readonly Topic[];
  readonly remedy: readonly Remedy[];
}

/** Stalled; or DeletionBlocked, when what holds up a deletion is an administrative reason (NotEmpty, RetentionUntil). */
function stalled(facts: PassFacts, said: Standing, due: Due): Verdict {
  const { row } = facts.passRow;
  const blocksDeletion = row.deletedAt !== null && classOf(said.reason, facts.kind) === 'admin';
  return standing(facts, { ...said, as: blocksDeletion ? 'DeletionBlocked' : 'Stalled' }, due);
}

function standing(facts: PassFacts, said: Standing & { readonly as: string }, due: Due): Verdict {
  const { row } = facts.passRow;
  const { reason, message } = said;
  const clearsOn = said.clearsOn.length > 0 ? said.clearsOn : [topic.spec(row.uid)];
  const remedy = said.remedy.length > 0 ? said.remedy : [replay(row)];
  const evidence =
    said.providerCode === undefined ? {} : { evidence: { pass: facts.claim.epoch, providerCode: said.providerCode } };
  const phase: ConditionDraft = { type: said.as, status: 'True', reason, message, clearsOn, remedy, ...evidence };
  return {
    write: true,
    ready: { status: 'False', reason, message },
    phase,
    attempts: attemptsOf(facts),
    listens: clearsOn,
    ...due,
  };
}

/** Looks again: the remedy where nothing better is known. */
export function replay(row: ResourceRow): Remedy {
  const { workspace, kind, name } = row;
  return {
    id: 'look-again',
    call: { proc: 'replays.create', input: { selector: { workspace, kind, names: [name] } } },
    destructive: false,
    needs: 'sre',
  };
}

/** A stale read right after our own change does not unready what was verified. */
function verifying(facts: PassFacts, retryAfterMs: number): Verdict {
  const due = { dueInMs: retryAfterMs, priority: 'replay' } as const;
  if (isReadyNow(facts)) return { ...unwritten(facts), ...due };
  const message = 'The last change was acknowledged and is not visible yet; it is not made again meanwhile.';
  return reconciling(facts, { reason: 'Verifying', message }, due);
}

function credential(
  facts: PassFacts,
  outcome: Extract<Outcome, { type: 'credential' }>,
  options: EngineOptions,
): Verdict {
  const { provider, account } = outcome.account;
  if (!outcome.stalled) {
    const attempts = attemptsOf(facts) + 1;
    const message = `${provider}/${account} refused the credential; it is tried again before it counts as dead.`;
    const due = { dueInMs: retryDelayMs(attempts, facts.random, options), priority: 'replay' } as const;
    return { ...reconciling(facts, { reason: 'BackingOff', message }, due), attempts };
  }
  const said = {
    reason: outcome.reason,
    message: `${provider}/${account} refuses the operator's credential. Nothing is sent there until it is replaced.`,
    clearsOn: [topic.credential(provider, account), topic.provider(provider, account)],
    remedy: [{ id: 'see-providers', call: { proc: 'providers.list', input: {} }, destructive: false, needs: 'sre' }],
  };
  return { ...stalled(facts, said, parked(facts, options)), parkedOn: outcome.account };
}

function unavailable(
  facts: PassFacts,
  outcome: Extract<Outcome, { type: 'unavailable' }>,
  options: EngineOptions,
): Verdict {
  const { provider, account } = outcome.account;
  const message = `${provider}/${account} does not answer; it is probed, and this goes on when it answers again.`;
  const verdict = reconciling(facts, { reason: 'ProviderUnavailable', message }, parked(facts, options));
  return { ...verdict, parkedOn: outcome.account, listens: [topic.provider(provider, account)] };
}

function refused(facts: PassFacts, outcome: Refused, options: EngineOptions): Verdict {
  const byItself = outcome.retryAfterMs;
  const looked = outcome.reason === 'SuspendedByUser' || outcome.as === 'Observed';
  const slow = looked ? resync(facts) : parked(facts, options);
  const due: Due = byItself === null || byItself > slow.dueInMs ? slow : { dueInMs: byItself, priority: 'replay' };
  const parkedOn = outcome.parkedOn === undefined ? {} : { parkedOn: outcome.parkedOn };
  const verdict = standing(facts, outcome, due);
  return { ...verdict, ...parkedOn, phase: outcome.as === 'Observed' ? null : verdict.phase };
}

/** Unchanged; a row that is not Ready and has been held up for long says so. */
function throttled(facts: PassFacts, retryAfterMs: number, options: EngineOptions): Verdict {
  const { row, work } = facts.passRow;
  const due = { dueInMs: jittered(retryAfterMs, 0.1, facts.random), priority: 'replay' } as const;
  const heldForMs = facts.now - Math.max(row.updatedAt, work.verifiedAt ?? 0);
  const says = standingForMs(facts, 'Reconciling', 'RateLimited') > 0 || heldForMs >= options.throttledVisibleMs;
  if (isReadyNow(facts) || !says) return { ...unwritten(facts), ...due };
  const message = 'The provider account is at its rate limit; this goes on when there is room.';
  return reconciling(facts, { reason: 'RateLimited', message }, due);
}
