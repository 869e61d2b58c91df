import type { Remedy } from '#resources/condition.ts';
import type { Json } from '#resources/json.ts';
import type { Ms, ResourceRow } from '#resources/resource.ts';
import { topic } from '#resources/topic.ts';
import { doublingDelayMs } from './backoff.ts';
import type { Action, Intent } from '#controller/contract.ts';
import type { EngineOptions } from '#controller/options.ts';
import type { Outcome, Stalled } from './outcome.ts';
import type { Decision, Settle } from '#controller/store/rows.ts';

/**
 * What an observation and a person's decisions say of sends whose answer is not known (architecture §5, Intents). Pure.
 *
 * 1. `done` by observation counts at once. `not-done` counts only if everything observed was read after give_up_at + visibility.
 * 2. A decision `did_not` retires; `happened` closes as done unless a valid observation says otherwise.
 * 3. While one stays open, nothing `once` or spending is sent; a guarded send may be repeated under its own intent in its time.
 * 4. Undecided at give_up_at + decideAfterMs, or at the end of the guard if that is later: NeedsDecision. Also where nobody can look.
 * 5. A `done` that came after its attempt was retired stands until a person has said what is there. `happened`: the fact stands and is
 *    never sent again. `did_not`: it is retired, unless it is seen, and with it what was done of the effect before. A decision is about the
 *    fact, so about all attempts of the effect.
 */
export interface IntentReview {
  /** Open intents closed or found lost; written by this pass's settle. */
  readonly changes: Settle['intents'];
  /** The intents as the plan should see them. */
  readonly intents: readonly Intent[];
  /** Effects whose decisions are used up. */
  readonly decided: readonly string[];
  /** The intent that is still open, or null. */
  readonly open: OpenIntent | null;
  /** A contradiction that nobody has decided; null: none. Nothing is planned while there is one. */
  readonly contradiction: Outcome | null;
}

export interface OpenIntent {
  readonly intent: Intent;
  /** How the pass ends, unless the intent's own guarded action may be sent again. */
  readonly outcome: Outcome;
  /** Within its guard: the same action may be sent again under this intent. */
  readonly mayResend: boolean;
  /** Database time at which a person is asked, if nothing has told by then. */
  readonly askAt: Ms;
}

export interface IntentFacts {
  readonly row: ResourceRow;
  readonly intents: readonly Intent[];
  readonly decisions: readonly Decision[];
  /** Database time of the pass's read. */
  readonly now: Ms;
  /** Database time of the oldest thing in the observation, cached inventories included. */
  readonly observedAsOf: Ms;
  readonly visibilityMs: number;
  readonly resolve: (intent: Intent) => 'done' | 'not-done' | 'undecided';
  readonly options: EngineOptions;
}

/** Sent, or perhaps sent. */
export function isOpen(intent: Intent): boolean {
  return intent.state === 'sending' || intent.state === 'unknown';
}

/** When it was sent; of one of which that is not known, when it was about to be. */
function sentBy(intent: Intent): Ms {
  return intent.sentAt ?? intent.announcedAt;
}

/** A `done` that arrived for an attempt already retired: it happened twice, or after a person said that it had not. */
export function contradicted(intents: readonly Intent[]): Intent | null {
  return intents.find((intent) => intent.contradicts) ?? null;
}

/** Closes what can be closed, and says what stays open. */
export function reviewIntents(facts: IntentFacts): IntentReview {
  const changes: Settle['intents'][number][] = [];
  const intents: Intent[] = [];
  let open: OpenIntent | null = null;
  let contradiction: Outcome | null = null;
  for (const intent of facts.intents) {
    if (intent.contradicts) {
      const state = decidedState(intent, facts);
      if (state === null) contradiction ??= mayExistTwice(intent, facts.row);
      else changes.push({ nonce: intent.nonce, state, contradicted: true });
      intents.push(state === null ? intent : { ...intent, state, contradicts: false });
      continue;
    }
    if (isDenied(intent, facts)) {
      changes.push({ nonce: intent.nonce, state: 'retired', contradicted: true });
      intents.push({ ...intent, state: 'retired' });
      continue;
    }
    const state = isOpen(intent) ? reviewedState(intent, facts) : intent.state;
    if (state !== intent.state && state !== 'sending') {
      changes.push({ nonce: intent.nonce, state: state as 'done' | 'retired' | 'unknown' });
    }
    const reviewed = { ...intent, state };
    intents.push(reviewed);
    if (isOpen(reviewed)) open = openIntent(reviewed, facts);
  }
  const stillOpen = open?.intent.effect;
  const decided = facts.decisions.map((decision) => decision.effect).filter((effect) => effect !== stillOpen);
  return { changes, intents, decided: [...new Set(decided)], open, contradiction };
}

/** What a person's word makes of a contradiction; null: nobody has spoken since its answer came. What is seen is there. */
function decidedState(intent: Intent, facts: IntentFacts): 'done' | 'retired' | null {
  const decision = decisionOf(intent, facts, intent.answeredAt ?? intent.announcedAt);
  if (decision === undefined) return null;
  return decision.outcome === 'happened' || facts.resolve(intent) === 'done' ? 'done' : 'retired';
}

/** Done, of an effect that was done twice, of which a person has said since that none of it stands. What is seen is there. */
function isDenied(intent: Intent, facts: IntentFacts): boolean {
  if (intent.state !== 'done') return false;
  const twice = facts.intents.find((other) => other.contradicts && other.effect === intent.effect);
  if (twice === undefined || decidedState(twice, facts) !== 'retired') return false;
  return decidedState(intent, facts) === 'retired';
}

/** The newest decision about the effect since then. */
function decisionOf(
  { effect }: Intent,
  { decisions }: Pick<IntentFacts, 'decisions'>,
  since: Ms,
): Decision | undefined {
  return decisions.findLast((one) => one.effect === effect && one.at >= since);
}

function reviewedState(intent: Intent, facts: IntentFacts): Intent['state'] {
  const seen = facts.resolve(intent);
  if (seen === 'done') return 'done';
  const absent = seen === 'not-done' && facts.observedAsOf >= (intent.giveUpAt ?? facts.now) + facts.visibilityMs;
  if (absent) return 'retired';
  const decision = decisionOf(intent, facts, sentBy(intent));
  if (decision !== undefined && isGivenUp(intent, facts.now)) {
    return decision.outcome === 'happened' ? 'done' : 'retired';
  }
  return isGivenUp(intent, facts.now) ? 'unknown' : intent.state;
}

function isGivenUp(intent: Intent, now: Ms): boolean {
  return intent.state === 'unknown' || (intent.giveUpAt ?? 0) <= now;
}

/**
 * The send that stays open while the look itself fails: that closes nothing, and a person is asked in time all the same. Null also once one
 * has spoken: what is said counts with the next look, which may know better, and it is that look which stands in the way.
 */
export function openUnseen(facts: Omit<IntentFacts, 'observedAsOf' | 'visibilityMs' | 'resolve'>): OpenIntent | null {
  const intent = facts.intents.find(isOpen);
  if (intent === undefined || decisionOf(intent, facts, sentBy(intent)) !== undefined) return null;
  return openIntent(intent, facts);
}

function openIntent(intent: Intent, facts: Pick<IntentFacts, 'row' | 'now' | 'options'>): OpenIntent {
  const giveUpAt = intent.giveUpAt ?? facts.now;
  const guardedUntil = sentBy(intent) + guardedForMs(intent.args);
  const askAt = Math.max(giveUpAt + facts.options.decideAfterMs, guardedUntil);
  const mayResend = facts.now < guardedUntil && isGivenUp(intent, facts.now);
  if (facts.now >= askAt) return { intent, outcome: needsDecision(intent, facts.row), mayResend: false, askAt };
  const untilGivenUp = giveUpAt - facts.now;
  const delay = untilGivenUp > 0 ? untilGivenUp : lookAgainMs(-untilGivenUp, facts.options);
  const retryAfterMs = Math.max(1, Math.min(delay, askAt - facts.now));
  const reason = unknownReason(intent);
  return {
    intent,
    outcome: { type: 'unknown', reason, message: unknownMessage(intent), retryAfterMs },
    mayResend,
    askAt,
  };
}

/** 10 s after it was given up, doubling to 60 s. */
function lookAgainMs(elapsedMs: number, options: EngineOptions): number {
  return doublingDelayMs(elapsedMs, options.unknownFirstMs, options.unknownMaxMs);
}

function argument(args: Json, name: string): Json | undefined {
  return args !== null && typeof args === 'object' && !Array.isArray(args)
    ? (args as Record<string, Json>)[name]
    : undefined;
}

function guardedForMs(args: Json): number {
  const value = argument(args, 'guardedForMs');
  return typeof value === 'number' ? value : 0;
}

/** The …OutcomeUnknown of an action, by what it does. */
export function unknownReasonOf(action: Pick<Action, 'effect' | 'risk' | 'type'>): string {
  if (action.risk === 'spending') return 'PurchaseOutcomeUnknown';
  if (action.type === 'send') return 'SendOutcomeUnknown';
  if (action.effect === 'create') return 'CreateOutcomeUnknown';
  if (action.effect === 'delete' || action.effect === 'release') return 'DeleteOutcomeUnknown';
  return 'UpdateOutcomeUnknown';
}

function unknownReason(intent: Intent): string {
  const text = (name: string): string => {
    const value = argument(intent.args, name);
    return typeof value === 'string' ? value : '';
  };
  return unknownReasonOf({
    effect: text('effect') as Action['effect'],
    risk: text('risk') as Action['risk'],
    type: text('type'),
  });
}

function unknownMessage(intent: Intent): string {
  return (
    `Whether ${intent.effect} took effect is unknown: attempt ${intent.attempt} was sent and its answer was lost. ` +
    'It is being looked up and is not sent again meanwhile.'
  );
}

function needsDecision(intent: Intent, row: ResourceRow): Stalled {
  return {
    type: 'stalled',
    reason: 'NeedsDecision',
    message:
      `Whether ${intent.effect} took effect is unknown and looking it up did not tell (attempt ${intent.attempt}). ` +
      'Nothing further is sent. Say what happened with decisions.resolve.',
    clearsOn: [topic.decision(row.uid)],
    remedy: ['happened', 'did_not'].map((outcome) => decisionRemedy(intent, row, outcome)),
  };
}

function mayExistTwice(intent: Intent, row: ResourceRow): Outcome {
  return {
    type: 'stalled',
    reason: 'InvariantViolated',
    message:
      `${intent.effect} took effect although attempt ${intent.attempt} had been given up: it may exist twice. Nothing further is sent. ` +
      'Take away what is too much and say with decisions.resolve whether one of it stands (happened) or nothing (did_not).',
    clearsOn: [topic.decision(row.uid)],
    remedy: ['happened', 'did_not'].map((outcome) => decisionRemedy(intent, row, outcome)),
  };
}

function decisionRemedy(intent: Intent, row: ResourceRow, outcome: string): Remedy {
  const { workspace, kind, name } = row;
  const input = { workspace, kind, name, effect: intent.effect, outcome, evidence: '' };
  return {
    id: `decide-${outcome.replace('_', '-')}`,
    call: { proc: 'decisions.resolve', input },
    destructive: outcome === 'did_not',
    needs: 'human',
  };
}

/** What the record holds of an action: all but observations. */
export function intentArgs(action: Action): Json {
  const { changes: _changes, guard: _guard, step: _step, ...args } = action;
  return args;
}

/**
 * How an action that has an intent may go on. `send`: under this intent, or a new one if null. `done`: it stands already and is
 * never sent again. `wait`: another one is open.
 */
export type IntentStep =
  | { readonly step: 'send'; readonly resend: Intent | null }
  | { readonly step: 'done'; readonly intent: Intent }
  | { readonly step: 'wait'; readonly outcome: Outcome };

/** Decides for one action; `review` is this pass's. */
export function intentStep(effect: string, review: IntentReview): IntentStep {
  const done = review.intents.find((intent) => intent.effect === effect && intent.state === 'done');
  if (done !== undefined) return { step: 'done', intent: done };
  const { open } = review;
  if (open === null) return { step: 'send', resend: null };
  if (open.mayResend && open.intent.effect === effect) return { step: 'send', resend: open.intent };
  return { step: 'wait', outcome: open.outcome };
}

/** Announced attempts that the plan no longer asks for: provably not sent, dropped with their hold. */
export function staleAnnounced(intents: readonly Intent[], wanted: ReadonlySet<string>): string[] {
  return intents
    .filter((intent) => intent.state === 'announced' && !wanted.has(intent.effect))
    .map((intent) => intent.nonce);
}
