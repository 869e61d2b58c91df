import { z } from 'zod';
import type { AdmissionContext } from '#resources/admission.ts';
import { admitDelete, admitUndelete } from '#resources/admit-delete.ts';
import type { RowWrite } from '#resources/mutation.ts';
import type { DeletionPolicy, ResourceKey } from '#resources/resource.ts';
import { admit } from '#api/admission/chain.ts';
import { answersOf, single } from '#api/answers.ts';
import type { Answer } from '#api/answers.ts';
import { kindOf } from '#api/context.ts';
import type { ApiDeps, Call } from '#api/context.ts';
import { requirePlatform, requireScope, requireWorkspace } from '#api/scopes.ts';
import type { Conditions } from './apply.ts';
import { defined, generationInput, keyInput, keyOf, planHashInput, requestIdInput, storable } from './inputs.ts';

export const deleteInput = z.strictObject({
  ...keyInput,
  confirm: storable(253).optional(),
  policy: z.enum(['Delete', 'Orphan']).optional(),
  planHash: planHashInput.optional(),
  ifGeneration: generationInput.optional(),
  requestId: requestIdInput.optional(),
});

export const undeleteInput = z.strictObject({ ...keyInput, requestId: requestIdInput.optional() });

interface Removal extends Conditions {
  readonly key: ResourceKey;
  readonly confirm?: string | undefined;
  readonly policy?: DeletionPolicy | undefined;
}

/** Asks for deletion: sets deleted_at; the controller does the rest. */
export async function remove(deps: ApiDeps, call: Call, removal: Removal): Promise<Answer> {
  const { confirm, policy, planHash, ifGeneration } = removal;
  const wish = { key: keyOf(removal.key), ...defined({ confirm, policy, planHash, ifGeneration }) };
  return change(deps, call, { ...removal, scope: 'delete', decide: (context) => admitDelete(context, wish) });
}

/** Takes a deletion back, while nothing can have been destroyed. */
export async function undelete(
  deps: ApiDeps,
  call: Call,
  wish: Conditions & { readonly key: ResourceKey },
): Promise<Answer> {
  const key = keyOf(wish.key);
  return change(deps, call, {
    ...wish,
    scope: kindOf(deps, key.kind).declaring,
    decide: (context) => admitUndelete(context, key),
  });
}

async function change(
  deps: ApiDeps,
  call: Call,
  input: Conditions & {
    readonly key: ResourceKey;
    readonly scope: 'write' | 'delete';
    readonly decide: (context: AdmissionContext) => RowWrite | null;
  },
): Promise<Answer> {
  const key = keyOf(input.key);
  const kind = kindOf(deps, key.kind);
  requireWorkspace(call.principal, key.workspace);
  if (kind.platformOnly) requirePlatform(call.principal);
  requireScope(call.principal, kind.area, input.scope);
  const admitted = await admit(deps, call, {
    workspace: key.workspace,
    reads: [key, { ...key, kind: 'Workspace', name: key.workspace }],
    planHash: input.planHash,
    requestId: input.requestId,
    input: input.input,
    decide: (context) => {
      const write = input.decide(context);
      return { writes: write === null ? [] : [write], result: null };
    },
  });
  return single(await answersOf(deps, call, { workspace: key.workspace, keys: [key], admitted, kept: () => [[]] }));
}
