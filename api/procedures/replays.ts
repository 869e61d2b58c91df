import { z } from 'zod';
import type { Recording } from '#controller/store/recording.ts';
import type { ReplayRow, ReplaySelector } from '#controller/store/replay-store.ts';
import { notFound } from '#resources/errors.ts';
import type { Ms } from '#resources/resource.ts';
import { kindOf } from '#api/context.ts';
import type { ApiDeps, Call } from '#api/context.ts';
import { doOnce } from '#api/requests.ts';
import { requireClass, requirePlatform, requireScope } from '#api/scopes.ts';
import { conditionInput, defined, idInput, labelsInput, requestIdInput, storable, workspaceInput } from './inputs.ts';

/** Replays (architecture §5): rows that the controller acts on. For platform keys of class human or sre. */
const selectorInput = z.strictObject({
  workspace: workspaceInput.optional(),
  kind: z.string().min(1).max(64).optional(),
  labels: labelsInput.optional(),
  condition: conditionInput.optional(),
  names: z.array(storable(253)).min(1).max(1_000).optional(),
});

export const createReplayInput = z.strictObject({
  selector: selectorInput.default({}),
  ratePerSecond: z.int().min(1).max(1_000).default(50),
  requestId: requestIdInput.optional(),
});

export const replayIdInput = z.strictObject({ id: idInput });
export const replayWishInput = z.strictObject({ id: idInput, requestId: requestIdInput.optional() });
export const listReplaysInput = z.strictObject({ limit: z.int().min(1).max(500).default(100) });

/** A replay as every call answers it. Times are ISO-8601. */
export interface ReplayAnswer extends Omit<ReplayRow, 'createdAt' | 'finishedAt'> {
  readonly createdAt: string;
  readonly finishedAt: string | null;
  /** ms until done, at its rate; 0 when finished. */
  readonly estimateMs: number;
}

export async function createReplay(
  deps: ApiDeps,
  call: Call,
  input: z.output<typeof createReplayInput>,
): Promise<ReplayAnswer & { readonly replayed: boolean }> {
  mayReplay(call, 'write');
  if (input.selector.kind !== undefined) kindOf(deps, input.selector.kind, 'selector.kind');
  const { requestId, ratePerSecond } = input;
  const id = deps.rng.uuid();
  const wanted = {
    id,
    selector: selectorOf(input.selector),
    ratePerSecond,
    createdBy: call.principal.lineage,
    ...defined({ requestId }),
  };
  const { repeated, results } = await doOnce(deps, call, {
    workspace: null,
    requestId,
    input,
    results: { id },
    id,
    act: (recording) => deps.stores.replays.create(wanted, recording),
  });
  const row = await deps.stores.replays.get((results as { id: string }).id);
  if (row === null) throw notFound();
  return { ...replayAnswer(row), replayed: repeated };
}

function selectorOf(input: z.output<typeof selectorInput>): ReplaySelector {
  const { condition, ...rest } = input;
  return { ...defined(rest), ...(condition === undefined ? {} : { condition: defined(condition) }) };
}

export async function getReplay(deps: ApiDeps, call: Call, input: { readonly id: string }): Promise<ReplayAnswer> {
  mayReplay(call, 'read');
  const row = await deps.stores.replays.get(input.id);
  if (row === null) throw notFound();
  return replayAnswer(row);
}

export async function listReplays(
  deps: ApiDeps,
  call: Call,
  input: { readonly limit: number },
): Promise<{ readonly items: readonly ReplayAnswer[] }> {
  mayReplay(call, 'read');
  return { items: (await deps.stores.replays.list(input.limit)).map(replayAnswer) };
}

/** Suspends, resumes or cancels; where that does not apply the replay is answered as it is. A repeat changes nothing. */
export async function wishReplay(
  deps: ApiDeps,
  call: Call,
  { input, wish }: { readonly input: z.output<typeof replayWishInput>; readonly wish: 'suspend' | 'resume' | 'cancel' },
): Promise<ReplayAnswer & { readonly replayed: boolean }> {
  mayReplay(call, 'write');
  const { id, requestId } = input;
  if ((await deps.stores.replays.get(id)) === null) throw notFound();
  const act = (recording: Recording): Promise<unknown> => deps.stores.replays.setState(id, wish, recording);
  const { repeated } = await doOnce(deps, call, { workspace: null, requestId, input, act });
  const row = await deps.stores.replays.get(id);
  if (row === null) throw notFound();
  return { ...replayAnswer(row), replayed: repeated };
}

function mayReplay(call: Call, action: 'read' | 'write'): void {
  requirePlatform(call.principal);
  requireClass(call.principal, ['human', 'sre']);
  requireScope(call.principal, 'replays', action);
}

function replayAnswer(row: ReplayRow): ReplayAnswer {
  const iso = (ms: Ms): string => new Date(ms).toISOString();
  return {
    ...row,
    createdAt: iso(row.createdAt),
    finishedAt: row.finishedAt === null ? null : iso(row.finishedAt),
    estimateMs: estimateMs(row),
  };
}

/** At its rate. While it still gathers its items it is too low; suspended, it is what is left to do. */
function estimateMs(row: ReplayRow): number {
  if (row.state === 'done' || row.state === 'cancelled') return 0;
  return Math.ceil(((row.total - row.done) / row.ratePerSecond) * 1_000);
}
