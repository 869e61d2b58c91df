import type { Intent, IntentState } from '#controller/contract.ts';
import type { Json } from '#resources/json.ts';

/** Columns of `intents i` as an Intent, for a select list or, with their names, for jsonb_build_object. */
export const intentColumns = `i.effect, i.attempt, i.nonce, i.state, i.args, i.result, i.announced_at, i.sent_at, i.give_up_at,
  i.answered_at, i.contradicts`;

export interface IntentRecord {
  readonly effect: string;
  readonly attempt: number;
  readonly nonce: string;
  readonly state: IntentState;
  readonly args: Json;
  readonly result: Json;
  readonly announced_at: number;
  readonly sent_at: number | null;
  readonly give_up_at: number | null;
  readonly answered_at: number | null;
  readonly contradicts: boolean;
}

/** A record of `intents` as the engine sees it. Times in ms. */
export function intentOf(record: IntentRecord): Intent {
  const { effect, attempt, nonce, state, args, result, contradicts } = record;
  return {
    effect,
    attempt,
    nonce,
    state,
    args,
    result,
    contradicts,
    announcedAt: record.announced_at,
    sentAt: record.sent_at,
    giveUpAt: record.give_up_at,
    answeredAt: record.answered_at,
  };
}
