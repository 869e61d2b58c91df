import { z } from 'zod';
import { notFound, validationError } from '#resources/errors.ts';
import { keyText } from '#resources/reference.ts';
import type { ResourceKey, ResourceView } from '#resources/resource.ts';
import { kindOf } from '#api/context.ts';
import type { ApiDeps, Call } from '#api/context.ts';
import { badCursor, decodeCursor, encodeCursor } from '#api/cursors.ts';
import type { ApiOptions } from '#api/options.ts';
import { requireScope, requireWorkspace } from '#api/scopes.ts';
import { evaluate } from '#api/waits/evaluate.ts';
import type { Fixed } from '#api/waits/evaluate.ts';
import type { UndecidedWait, WaitAnswer } from '#api/waits/parked.ts';
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

export interface WaitCall {
  readonly input: WaitInput;
  readonly signal: AbortSignal | undefined;
  /** Gives the place among the open waits back: called exactly once, whatever comes. */
  readonly release: () => void;
}

/** Answers when it is decided, or its time is up; leaves an undecided wait in the call's seat, if it has one. */
export async function wait(deps: ApiDeps, call: Call, { input, signal, release }: WaitCall): Promise<WaitAnswer> {
  let found: WaitAnswer | Omit<UndecidedWait, 'release'>;
  try {
    found = await begin(deps, call, input);
  } catch (error) {
    release();
    throw error;
  }
  if ('outcome' in found) {
    release();
    return found;
  }
  const undecided: UndecidedWait = { ...found, release };
  if (call.seat === null) return await parked(deps, undecided, signal);
  call.seat.wait = undecided;
  return nothingYet(undecided);
}

async function begin(
  deps: ApiDeps,
  call: Call,
  input: WaitInput,
): Promise<WaitAnswer | Omit<UndecidedWait, 'release'>> {
  for (const [index, ref] of input.refs.entries()) {
    const kind = kindOf(deps, ref.kind, `refs[${index}].kind`);
    requireWorkspace(call.principal, ref.workspace);
    requireScope(call.principal, kind.area, 'read');
  }
  const { until } = input;
  const deadline = deps.clock.monotonic() + input.timeoutMs;
  const { fixed, views } =
    input.cursor === undefined ? await fix(deps, call, input) : await goOn(deps, call, { input, cursor: input.cursor });
  const { outcome, results } = evaluate(fixed, views, until);
  const cursor = cursorOf(until, fixed);
  if (outcome !== null || deps.clock.monotonic() >= deadline) return { outcome: outcome ?? 'timeout', results, cursor };
  return { scope: call.scope, caller: call.caller, fixed, until, cursor, deadline };
}

/** For callers that wait inside the call, as those of a batch do. */
function parked(
  { waits }: Pick<ApiDeps, 'waits'>,
  undecided: UndecidedWait,
  signal: AbortSignal | undefined,
): Promise<WaitAnswer> {
  return new Promise((resolve, reject) => {
    const own = waits.park(undecided, (heard) => {
      signal?.removeEventListener('abort', leave);
      if ('error' in heard) reject(heard.error);
      else resolve(heard.answer);
    });
    const leave = (): void => {
      // Nobody hears this.
      if (waits.leave(own)) resolve(nothingYet(undecided));
    };
    if (signal?.aborted === true) leave();
    else signal?.addEventListener('abort', leave, { once: true });
  });
}

const nothingYet = ({ cursor }: UndecidedWait): WaitAnswer => ({ outcome: 'timeout', results: [], cursor });

interface Found {
  readonly fixed: readonly Fixed[];
  readonly views: ReadonlyMap<string, ResourceView>;
}

/** The first call: the rows by key, as they are now. */
async function fix(deps: ApiDeps, call: Call, input: WaitInput): Promise<Found> {
  const views = await foundIn(
    Map.groupBy(input.refs.map(keyOf), (key) => key.workspace),
    (workspace, keys) => deps.rows.byKey.look(call.scope, workspace, keys),
  );
  const byKey = new Map([...views.values()].map((view) => [keyText(view.row), view.row]));
  const fixed = input.refs.map((ref) => {
    const row = byKey.get(keyText(ref));
    if (row === undefined && input.until !== 'Deleted') throw notFound();
    return { key: keyOf(ref), uid: row?.uid ?? null, generation: ref.generation ?? row?.generation ?? 0 };
  });
  return { fixed, views };
}

/** A later call: the rows by the uids that the first one fixed; what is missing is gone. */
async function goOn(
  deps: ApiDeps,
  call: Call,
  { input, cursor }: { readonly input: WaitInput; readonly cursor: string },
): Promise<Found> {
  const fixed = fixedBefore(cursor, input);
  const there = fixed.filter((one) => one.uid !== null);
  const views = await foundIn(
    Map.groupBy(there, (one) => one.key.workspace),
    (workspace, some) =>
      deps.rows.byUid.look(
        call.scope,
        workspace,
        some.map((one) => one.uid ?? ''),
      ),
  );
  // A forged uid may be that of any row of the workspace; the scope was asked for the kinds of the refs alone.
  if (there.some(({ uid, key }) => !isOf(views.get(uid ?? ''), key))) throw badCursor();
  return { fixed, views };
}

/** Of each workspace what is found there, by uid. */
async function foundIn<T>(
  workspaces: ReadonlyMap<string, readonly T[]>,
  look: (workspace: string, some: readonly T[]) => Promise<readonly ResourceView[]>,
): Promise<ReadonlyMap<string, ResourceView>> {
  const found = await Promise.all([...workspaces].map(([workspace, some]) => look(workspace, some)));
  return new Map(found.flat().map((view) => [view.row.uid, view]));
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

/** What is gone is of any key. */
function isOf(view: ResourceView | undefined, key: ResourceKey): boolean {
  return view === undefined || sameKey(view.row, key);
}

function sameKey(a: ResourceKey, b: ResourceKey | undefined): boolean {
  return b !== undefined && a.workspace === b.workspace && a.kind === b.kind && a.name === b.name;
}
