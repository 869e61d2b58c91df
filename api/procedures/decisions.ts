import { z } from 'zod';
import type { Recording } from '#controller/store/recording.ts';
import type { UnknownIntent } from '#controller/store/resource-store.ts';
import { notFound } from '#resources/errors.ts';
import type { Ms, ResourceKey } from '#resources/resource.ts';
import { kindOf } from '#api/context.ts';
import type { ApiDeps, Call } from '#api/context.ts';
import { doOnce } from '#api/requests.ts';
import { allows, requireClass, requireScope, requireWorkspace } from '#api/scopes.ts';
import { keyInput, keyOf, requestIdInput, storable, workspaceInput } from './inputs.ts';

/** What nobody knows, and what a person says of it (law 6). For keys of class human or sre. */
export const listDecisionsInput = z.strictObject({
  workspace: workspaceInput.optional(),
  limit: z.int().min(1).max(500).default(100),
});

export const resolveInput = z.strictObject({
  ...keyInput,
  effect: storable(256).min(1),
  outcome: z.enum(['happened', 'did_not']),
  evidence: storable(1_000).min(1),
  requestId: requestIdInput.optional(),
});

/** A send of which it is not known whether it took effect, or which took effect although it had been given up. */
export interface OpenUnknown {
  readonly ref: ResourceKey;
  readonly uid: string;
  readonly effect: string;
  readonly attempt: number;
  readonly state: string;
  readonly sentAt: string | null;
  readonly giveUpAt: string | null;
  /** It took effect after it had been given up: it may exist twice, and nothing goes on before somebody has looked. */
  readonly contradicts: boolean;
}

export async function listDecisions(
  deps: ApiDeps,
  call: Call,
  input: z.output<typeof listDecisionsInput>,
): Promise<{ readonly items: readonly OpenUnknown[] }> {
  requireClass(call.principal, ['human', 'sre']);
  const workspace = input.workspace ?? call.principal.workspace;
  if (workspace !== null) requireWorkspace(call.principal, workspace);
  const { limit } = input;
  const found = await deps.stores.resources.unknowns(call.scope, workspace === null ? { limit } : { workspace, limit });
  const readable = found.filter((one) => {
    const kind = deps.kinds.get(one.key.kind);
    return kind !== undefined && allows(call.principal.scopes, kind.area, 'read');
  });
  return { items: readable.map(openUnknown) };
}

function openUnknown(one: UnknownIntent): OpenUnknown {
  const iso = (ms: Ms | null): string | null => (ms === null ? null : new Date(ms).toISOString());
  const { key, uid, effect, attempt, state, contradicts } = one;
  return { ref: key, uid, effect, attempt, state, sentAt: iso(one.sentAt), giveUpAt: iso(one.giveUpAt), contradicts };
}

export interface Resolved {
  readonly ref: ResourceKey;
  readonly effect: string;
  readonly outcome: 'happened' | 'did_not';
  readonly replayed: boolean;
}

/**
 * Says what became of an unknown send, or what stands after a contradiction. It is about the fact that the effect names, so about all
 * attempts. The next pass applies it: after "happened" nothing is sent again, and Ready still comes from observation alone; after
 * "did_not" it may be sent anew, unless observation shows it.
 */
export async function resolveDecision(
  deps: ApiDeps,
  call: Call,
  input: z.output<typeof resolveInput>,
): Promise<Resolved> {
  const key = keyOf(input);
  const kind = kindOf(deps, key.kind);
  requireWorkspace(call.principal, key.workspace);
  requireClass(call.principal, ['human', 'sre']);
  requireScope(call.principal, kind.area, 'write');
  const { workspace } = key;
  const { effect, outcome, evidence, requestId } = input;
  const answer = { ref: key, effect, outcome };
  const decision = { effect, outcome, evidence, by: call.principal };
  const act = async (recording: Recording): Promise<void> => {
    if (!(await deps.stores.resources.decide(call.scope, { key, decision, recording }))) throw notFound();
  };
  const { repeated } = await doOnce(deps, call, { workspace, requestId, input, act });
  return { ...answer, replayed: repeated };
}
