// Flow step 9 of 10: settle. Before: pass.ts. After: watch/feed.ts.
import { firesOfChange } from '#resources/changes.ts';
import { digest } from '#resources/digest.ts';
import { sameJson } from '#resources/json.ts';
import type { JsonObject } from '#resources/json.ts';
import { safeJson } from '#resources/text.ts';
import { isStoredTopic } from '#resources/topic.ts';
import type { Topic } from '#resources/topic.ts';
import { suspensionOf } from './pass/gates.ts';
import { allLandedAt, takeoverLandedAt } from './pass/landing.ts';
import type { Earlier } from './pass/landing.ts';
import { passRecord } from './pass/journal.ts';
import type { EngineOptions } from './options.ts';
import type { PassFacts, Verdict } from './pass/pass-facts.ts';
import { acknowledge, forgiven } from './pass/recent-actions.ts';
import { settledConditions } from './pass/settle-conditions.ts';
import type { PassRow, Settle } from './store/rows.ts';
import { verdictOf } from './pass/verdict.ts';

/**
 * From how a pass ended to what is written (architecture §5, Outcomes). One total function, pure; `random` is given.
 *
 * S1  A pass that changes nothing writes nothing to `resources`: `status` is absent, and the settle is unversioned.
 * S2  Status carries the PLANNED generation.
 * S3  Never Reconciling and Stalled both; Stalled has a remedy and topics that clear it.
 * S4  A pass that was not complete forgets no topic, unless it ended for knowing all that it waits for.
 * S5  Superseded writes no status; what was acknowledged before is remembered all the same.
 */

/** The whole write of one pass. Pure and total. */
export function settlePass(facts: PassFacts, options: EngineOptions): Settle {
  const verdict = duringOpenSend(duringSuspension(duringTakeover(verdictOf(facts, options), facts), facts), facts);
  const status = verdict.write ? settledStatus(facts, verdict) : null;
  const listeners = settledListeners(facts, verdict);
  const recent = settledRecent(facts);
  const { claim, passRow, look } = facts;
  const { work } = passRow;
  const changed = status !== null || facts.acknowledged.length > 0 || facts.operations.length > 0;
  return {
    shard: claim.shard,
    uid: claim.uid,
    epoch: claim.epoch,
    holder: facts.holder,
    wakeSeq: claim.wakeSeq,
    generation: passRow.row.generation,
    readVersion: facts.readVersion,
    claimedAt: claim.claimedAt,
    dueInMs: Math.max(0, Math.round(verdict.dueInMs)),
    priority: verdict.priority,
    attempts: verdict.attempts,
    ...(status === null ? {} : { status }),
    ...(listeners === null ? {} : { listeners }),
    fires: status === null ? [] : firesOfChange(facts.kind, passRow.row, { ...passRow.row, ...status }),
    ...(verdict.parkedOn === undefined ? {} : { parkedOn: verdict.parkedOn }),
    verified: facts.outcome.type === 'converged' && verdict.ready.status === 'True',
    materialized: look?.exists === true && work.materializedAt === null,
    clearTakenOver: work.takenOverAt !== null && takeoverLandedAt(earlier(facts)) <= claim.claimedAt,
    ...(recent === work.recentActions ? {} : { recentActions: recent }),
    intents: facts.review?.changes ?? [],
    dropAnnounced: facts.dropAnnounced,
    decided: facts.review?.decided ?? [],
    operations: facts.operations,
    ...(changed || work.passedAt === null ? { pass: passRecord(facts, options) } : {}),
  };
}

/** What was sent before this pass, and when it has all landed. */
function earlier({ passRow: { row, work }, timing }: PassFacts): Earlier {
  return { work, generation: row.generation, timing };
}

/** Until then Ready is at best Unknown / Verifying, and the row is due no later. */
function duringTakeover(verdict: Verdict, facts: PassFacts): Verdict {
  const leftMs = allLandedAt(earlier(facts)) - facts.claim.claimedAt;
  if (leftMs <= 0 || facts.outcome.type === 'superseded' || facts.outcome.type === 'finished') return verdict;
  const sooner = verdict.dueInMs <= leftMs ? verdict : ({ ...verdict, dueInMs: leftMs, priority: 'replay' } as const);
  if (verdict.write && verdict.ready.status !== 'True') return sooner;
  const text = {
    reason: 'Verifying',
    message:
      'A change sent before may still land: by another controller, or one whose answer was lost. It is looked at again after that.',
  };
  return {
    ...sooner,
    write: true,
    ready: { status: 'Unknown', ...text },
    phase: { type: 'Reconciling', status: 'True', ...text },
  };
}

/** A suspension that ends by itself is looked at then. */
function duringSuspension(verdict: Verdict, { passRow: { row }, now }: PassFacts): Verdict {
  const until = suspensionOf(row, now)?.untilMs ?? null;
  if (until === null || until - now >= verdict.dueInMs) return verdict;
  return { ...verdict, dueInMs: until - now, priority: 'replay' };
}

/** However far a failed look puts off the next one: a person is asked about an open send in time. */
function duringOpenSend(verdict: Verdict, { review, now }: PassFacts): Verdict {
  const open = review?.open ?? null;
  if (open === null || open.outcome.type === 'stalled' || open.askAt - now >= verdict.dueInMs) return verdict;
  return { ...verdict, dueInMs: open.askAt - now, priority: 'replay' };
}

/** The versioned part, or null if nothing of it changed. */
function settledStatus(facts: PassFacts, verdict: Verdict): NonNullable<Settle['status']> | null {
  const { row } = facts.passRow;
  const reported = facts.look === null ? {} : (facts.look.report.status as JsonObject);
  const status = safeJson<JsonObject>({ ...row.status, ...withoutUndefined(reported) });
  const conditions = settledConditions(facts, verdict);
  const outputsDigest = digest(facts.kind.outputs(status));
  const same =
    conditions === row.conditions &&
    row.observedGeneration === row.generation &&
    row.outputsDigest === outputsDigest &&
    sameJson(status, row.status);
  return same ? null : { status, conditions, observedGeneration: row.generation, outputsDigest };
}

/** Outputs are sticky: what a report leaves out is kept. */
function withoutUndefined(reported: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(reported).filter(([, value]) => value !== undefined));
}

/** The whole set of topics, or null if it is the stored one. */
function settledListeners(facts: PassFacts, verdict: Verdict): readonly Topic[] | null {
  if (facts.outcome.type === 'superseded') return null;
  const { listeners: stored } = facts.passRow;
  // A blocked row waits for other rows alone: as a listener of its provider's breaker it would be a probe that never calls.
  const isWhole = facts.outcome.type === 'finished' || facts.outcome.type === 'blocked';
  const kept = facts.look === null && !isWhole ? stored : [];
  const wanted = [...new Set([...kept, ...facts.listeners, ...verdict.listens])].filter(isStoredTopic).sort();
  return sameJson(wanted, stored.toSorted()) ? null : wanted;
}

function settledRecent(facts: PassFacts): PassRow['work']['recentActions'] {
  const { recentActions } = facts.passRow.work;
  if (facts.acknowledged.length > 0) return acknowledge(recentActions, facts.acknowledged, facts.endedAt);
  return facts.outcome.type === 'converged' ? forgiven(recentActions) : recentActions;
}
