import type { AnyReconciler, Desired } from '#controller/contract.ts';
import type { PassRecord } from '#controller/store/rows.ts';
import type { Json, JsonObject } from '#resources/json.ts';
import { sameJson } from '#resources/json.ts';

/**
 * Replays one recorded pass offline: today's `plan` on the observation of that pass. Pure; needs no provider and no credential, since
 * plan is pure and everything it saw is in the journal.
 */
export type Comparison =
  | { readonly result: 'same'; readonly recorded: Json }
  | {
      readonly result: 'different';
      readonly recorded: Json;
      readonly today: Json;
      readonly differences: readonly Difference[];
    }
  /** The observation or the plan was too large for the journal: only its digest is kept. */
  | { readonly result: 'not-recorded' }
  /** Today's plan throws on that observation. */
  | { readonly result: 'throws'; readonly recorded: Json; readonly message: string };

export interface Difference {
  /** Dotted from the plan: "actions[0].type". */
  readonly path: string;
  readonly recorded: Json;
  readonly today: Json;
}

export interface ReplayPassInput {
  readonly reconciler: Pick<AnyReconciler, 'plan'>;
  readonly pass: Pick<PassRecord, 'observed' | 'plan'>;
  /** What the pass worked towards, from the revision of its generation. */
  readonly desired: Desired;
}

const differencesMax = 50;

export function replayPass({ reconciler, pass, desired }: ReplayPassInput): Comparison {
  const { observed, plan: recorded } = pass;
  if (observed === null || recorded === null) return { result: 'not-recorded' };
  let today: Json;
  try {
    today = asJson(reconciler.plan(desired, observed));
  } catch (error) {
    return { result: 'throws', recorded, message: error instanceof Error ? error.message : String(error) };
  }
  if (sameJson(recorded, today)) return { result: 'same', recorded };
  return { result: 'different', recorded, today, differences: compare(recorded, today, '').slice(0, differencesMax) };
}

/** As the journal stores it: members that are undefined are left out. */
function asJson(plan: unknown): Json {
  return JSON.parse(JSON.stringify(plan)) as Json;
}

function compare(recorded: Json, today: Json, path: string): Difference[] {
  if (sameJson(recorded, today)) return [];
  if (Array.isArray(recorded) && Array.isArray(today)) {
    const length = Math.max(recorded.length, today.length);
    return Array.from({ length }, (_, index) => index).flatMap((index) =>
      compare(recorded[index] ?? null, today[index] ?? null, `${path}[${index}]`),
    );
  }
  if (isObject(recorded) && isObject(today)) {
    const keys = [...new Set([...Object.keys(recorded), ...Object.keys(today)])].toSorted();
    return keys.flatMap((key) =>
      compare(recorded[key] ?? null, today[key] ?? null, path === '' ? key : `${path}.${key}`),
    );
  }
  return [{ path, recorded, today }];
}

function isObject(value: Json): value is JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
