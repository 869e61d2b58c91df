import type { Condition } from '#resources/condition.ts';
import { projectConditions } from '#resources/conditions.ts';
import type { ResourceKey, ResourceView } from '#resources/resource.ts';

export interface WaitResult {
  readonly ref: ResourceKey;
  /** Null: the row was missing from the start (until "Deleted" only). */
  readonly uid: string | null;
  /** The generation waited for. */
  readonly generation: number;
  /** Null: the row is gone. */
  readonly observedGeneration: number | null;
  readonly met: boolean;
  /** A later generation decided. */
  readonly superseded: boolean;
  /** The condition that decided, or the one waited for as it is now. */
  readonly condition: Condition | null;
}

/** What the first call fixed for one ref. */
export interface Fixed {
  readonly key: ResourceKey;
  readonly uid: string | null;
  readonly generation: number;
}

/** What a wait has come to. */
export interface Standing {
  /** Null: go on waiting. */
  readonly outcome: 'met' | 'stalled' | 'deleted' | null;
  readonly results: readonly WaitResult[];
}

interface Evaluated {
  readonly result: WaitResult;
  readonly state: 'met' | 'stalled' | 'deleted' | 'waiting';
}

/** Pure. What the refs have come to; `views` by uid, and what is not in it is gone. */
export function evaluate(fixed: readonly Fixed[], views: ReadonlyMap<string, ResourceView>, until: string): Standing {
  const all = fixed.map((one) => {
    const view = one.uid === null ? undefined : views.get(one.uid);
    return view === undefined ? goneResult(one, until) : presentResult(one, view, until);
  });
  return { outcome: outcomeOf(all), results: all.map((one) => one.result) };
}

function goneResult(one: Fixed, until: string): Evaluated {
  const met = until === 'Deleted';
  const result = { ref: one.key, uid: one.uid, generation: one.generation, observedGeneration: null, met };
  return { result: { ...result, superseded: false, condition: null }, state: met ? 'met' : 'deleted' };
}

function presentResult(one: Fixed, view: ResourceView, until: string): Evaluated {
  const { row } = view;
  const conditions = conditionsOf(view);
  const current = (type: string): Condition | undefined =>
    conditions.find((condition) => condition.type === type && counts(condition, one, row.generation));
  const wanted = until === 'Deleted' ? undefined : current(until);
  const met = wanted?.status === 'True';
  const blocking = ['Stalled', ...(until === 'Deleted' ? ['DeletionBlocked'] : [])]
    .map(current)
    .find((condition) => condition?.status === 'True');
  const state = met ? 'met' : blocking === undefined ? 'waiting' : 'stalled';
  const shown = met ? wanted : (blocking ?? conditions.find((condition) => condition.type === until));
  return {
    state,
    result: {
      ref: one.key,
      uid: one.uid,
      generation: one.generation,
      observedGeneration: row.observedGeneration,
      met,
      superseded: state !== 'waiting' && row.generation > one.generation,
      condition: shown ?? null,
    },
  };
}

/** Of each view once: hundreds of waits may be for the same rows, and every change of one evaluates them all. */
const projected = new WeakMap<ResourceView, readonly Condition[]>();

function conditionsOf(view: ResourceView): readonly Condition[] {
  const known = projected.get(view);
  if (known !== undefined) return known;
  const conditions = projectConditions(view);
  projected.set(view, conditions);
  return conditions;
}

/** Whether a condition is about the generation waited for, or a later one, and not overtaken by an edit. */
function counts(condition: Condition, one: Fixed, generation: number): boolean {
  return condition.observedGeneration >= Math.max(one.generation, generation);
}

/** One row that is gone or stalled decides for all. */
function outcomeOf(all: readonly Evaluated[]): Standing['outcome'] {
  if (all.every((one) => one.state === 'met')) return 'met';
  if (all.some((one) => one.state === 'deleted')) return 'deleted';
  return all.some((one) => one.state === 'stalled') ? 'stalled' : null;
}
