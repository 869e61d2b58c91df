import { digest } from '#resources/digest.ts';
import { canonicalJson } from '#resources/json.ts';
import type { Json } from '#resources/json.ts';
import { safeJson } from '#resources/text.ts';
import type { EngineOptions } from '#controller/options.ts';
import type { Outcome } from './outcome.ts';
import type { PassFacts } from './pass-facts.ts';
import type { PassRecord } from '#controller/store/rows.ts';

/** The journal's entry of a pass: what it saw, planned, called and came to. Pure. */
export function passRecord(facts: PassFacts, options: EngineOptions): PassRecord {
  const observed = kept(facts.look?.observed ?? null, options.journalBytesMax);
  const plan = kept((facts.look?.plan ?? null) as Json, options.journalBytesMax);
  return {
    generation: facts.passRow.row.generation,
    trigger: facts.passRow.work.priority,
    observed: observed.value,
    observedDigest: observed.digest,
    plan: plan.value,
    planDigest: plan.digest,
    calls: safeJson(facts.calls.slice(0, options.journalCallsMax)),
    outcome: outcomeText(facts.outcome),
    durationMs: facts.durationMs,
    traceId: null,
  };
}

/** Null when it is too large; the digest is of the whole all the same. */
function kept(value: Json, bytesMax: number): { value: Json; digest: string } {
  const safe = safeJson(value);
  const fits = Buffer.byteLength(canonicalJson(safe)) <= bytesMax;
  return { value: fits ? safe : null, digest: digest(safe) };
}

/** "stalled: InsufficientFunds" */
export function outcomeText(outcome: Outcome): string {
  return 'reason' in outcome && outcome.reason !== undefined ? `${outcome.type}: ${outcome.reason}` : outcome.type;
}
