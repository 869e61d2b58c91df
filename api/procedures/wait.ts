import { z } from 'zod';
import type { Condition } from '#resources/condition.ts';
import { projectConditions } from '#resources/conditions.ts';
import { notFound, validationError } from '#resources/errors.ts';
import { keyText } from '#resources/reference.ts';
import type { ResourceKey, ResourceView } from '#resources/resource.ts';
import { kindOf } from '#api/context.ts';
import type { ApiDeps, Call } from '#api/context.ts';
import { badCursor, decodeCursor, encodeCursor } from '#api/cursors.ts';
import type { ApiOptions } from '#api/options.ts';
import { requireScope, requireWorkspace } from '#api/scopes.ts';
import type { SharedLooks } from '#api/shared-looks.ts';
import { cursorInput, generationInput, keyInput, keyOf, storable } from './inputs.ts';

/**
 * Waits until rows are as wanted (architecture §6, Wait).
 *
 * W1  The first call fixes uid and generation of each ref; the cursor carries them, so that a wait goes on where it was cut.
 * W2  A condition counts only if it is of the fixed generation or a later one, and current in the projection.
 * W3  The answer is HTTP 200 whatever came of it; a timeout is an answer.
 */
export const waitInput = (limits: Pick<ApiOptions, 'waitRefsMax' | 'waitTimeoutMsDefault' | 'waitTimeoutMsMax'>) =>
  z.strictObject({
    refs: z
      .array(z.strictObject({ ...keyInput, generation: generationInput.optional() }))
      .min(1)
      .max(limits.waitRefsMax),
    until: storable(64).min(1).default('Ready'),
    timeoutMs: z.int().min(0).max(limits.waitTimeoutMsMax).default(limits.waitTimeoutMsDefault),
    cursor: cursorInput.optional(),
  });

export type WaitInput = z.output<ReturnType<typeof waitInput>>;

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

export interface WaitAnswer {
  readonly outcome: 'met' | 'stalled' | 'deleted' | 'timeout';
  readonly results: readonly WaitResult[];
  readonly cursor: string;
}

/** What the first call fixed for one ref. */
export interface Fixed {
  readonly key: ResourceKey;
  readonly uid: string | null;
  readonly generation: number;
}

export async function wait(
  deps: ApiDeps,
  call: Call,
  {
    input,
    signal,
    looks,
  }: { readonly input: WaitInput; readonly signal: AbortSignal | undefined; readonly looks: SharedLooks },
): Promise<WaitAnswer> {
  for (const [index, ref] of input.refs.entries()) {
    const kind = kindOf(deps, ref.kind, `refs[${index}].kind`);
    requireWorkspace(call.principal, ref.workspace);
    requireScope(call.principal, kind.area, 'read');
  }
  const deadline = deps.clock.monotonic() + input.timeoutMs;
  const place = deps.feed.place(input.refs.map((ref) => ref.workspace));
  const fixed = input.cursor === undefined ? await fix(deps, call, input) : fixedBefore(input.cursor, input);
  const cursor = cursorOf(input.until, fixed);
  for (;;) {
    const results = evaluate(fixed, await look(looks, call, fixed), input.until);
    const outcome = outcomeOf(results);
    const left = deadline - deps.clock.monotonic();
    if (outcome !== null || left <= 0 || signal?.aborted === true) {
      return { outcome: outcome ?? 'timeout', results: results.map((one) => one.result), cursor };
    }
    await place.moved(Math.min(left, deps.options.keyRecheckMs), signal);
    await deps.auth.recheck(call.caller);
  }
}

async function fix(deps: ApiDeps, call: Call, input: WaitInput): Promise<readonly Fixed[]> {
  const found = await Promise.all(
    [...Map.groupBy(input.refs.map(keyOf), (key) => key.workspace)].map(([workspace, keys]) =>
      deps.stores.resources.getByKeys(call.scope, workspace, keys),
    ),
  );
  const rows = new Map(found.flat().map(({ row }) => [keyText(row), row]));
  return input.refs.map((ref) => {
    const row = rows.get(keyText(ref));
    if (row === undefined && input.until !== 'Deleted') throw notFound();
    return { key: keyOf(ref), uid: row?.uid ?? null, generation: ref.generation ?? row?.generation ?? 0 };
  });
}

/** The rows by uid, as they are now; what is missing is gone. */
async function look(
  looks: SharedLooks,
  call: Call,
  fixed: readonly Fixed[],
): Promise<ReadonlyMap<string, ResourceView>> {
  const workspaces = Map.groupBy(fixed, (one) => one.key.workspace);
  const found = await Promise.all(
    [...workspaces].map(async ([workspace, ones]) => {
      const uids = [...new Set(ones.flatMap((one) => (one.uid === null ? [] : [one.uid])))];
      if (uids.length === 0) return [];
      const rows = await looks.look(call.scope, workspace, uids);
      return uids.flatMap((uid) => rows.get(uid) ?? []);
    }),
  );
  return new Map(found.flat().map((view) => [view.row.uid, view]));
}

interface Evaluated {
  readonly result: WaitResult;
  readonly state: 'met' | 'stalled' | 'deleted' | 'waiting';
}

/** Pure. What each ref has come to. */
export function evaluate(
  fixed: readonly Fixed[],
  views: ReadonlyMap<string, ResourceView>,
  until: string,
): readonly Evaluated[] {
  return fixed.map((one) => {
    const view = one.uid === null ? undefined : views.get(one.uid);
    return view === undefined ? goneResult(one, until) : presentResult(one, view, until);
  });
}

function goneResult(one: Fixed, until: string): Evaluated {
  const met = until === 'Deleted';
  const result = { ref: one.key, uid: one.uid, generation: one.generation, observedGeneration: null, met };
  return { result: { ...result, superseded: false, condition: null }, state: met ? 'met' : 'deleted' };
}

function presentResult(one: Fixed, view: ResourceView, until: string): Evaluated {
  const { row } = view;
  const conditions = projectConditions(view);
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

/** Whether a condition is about the generation waited for, or a later one, and not overtaken by an edit. */
function counts(condition: Condition, one: Fixed, generation: number): boolean {
  return condition.observedGeneration >= Math.max(one.generation, generation);
}

/** Null: go on waiting. One row that is gone or stalled decides for all. */
function outcomeOf(results: readonly Evaluated[]): Exclude<WaitAnswer['outcome'], 'timeout'> | null {
  if (results.every((one) => one.state === 'met')) return 'met';
  if (results.some((one) => one.state === 'deleted')) return 'deleted';
  return results.some((one) => one.state === 'stalled') ? 'stalled' : null;
}

function cursorOf(until: string, fixed: readonly Fixed[]): string {
  return encodeCursor('wait', [
    until,
    fixed.map(({ key, uid, generation }) => [key.workspace, key.kind, key.name, uid, generation]),
  ]);
}

const fixedSchema = z.array(z.tuple([z.string(), z.string(), z.string(), z.string().nullable(), z.int().min(0)]));

/** What an earlier call of the same wait fixed. */
function fixedBefore(cursor: string, input: WaitInput): readonly Fixed[] {
  const [until, list] = decodeCursor('wait', cursor);
  const parsed = fixedSchema.safeParse(list);
  if (!parsed.success) throw badCursor();
  const fixed = parsed.data.map(([workspace, kind, name, uid, generation]) => ({
    key: { workspace, kind, name },
    uid,
    generation,
  }));
  const same =
    until === input.until &&
    fixed.length === input.refs.length &&
    fixed.every((one, index) => sameKey(one.key, input.refs[index]));
  if (same) return fixed;
  const message = 'The cursor is of another wait: send it with the same refs and the same "until".';
  throw validationError([{ path: 'cursor', message, allowed: null }]);
}

function sameKey(a: ResourceKey, b: ResourceKey | undefined): boolean {
  return b !== undefined && a.workspace === b.workspace && a.kind === b.kind && a.name === b.name;
}
