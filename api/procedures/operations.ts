import { z } from 'zod';
import type { Recording } from '#controller/store/recording.ts';
import type { OperationRow } from '#controller/store/rows.ts';
import { notFound } from '#resources/errors.ts';
import type { Json } from '#resources/json.ts';
import type { Ms } from '#resources/resource.ts';
import type { ApiDeps, Call } from '#api/context.ts';
import { doOnce } from '#api/requests.ts';
import { requireScope, requireWorkspace } from '#api/scopes.ts';
import { idInput, requestIdInput, workspaceInput } from './inputs.ts';

/** Long work beside the loop: dumps, restores. Only its row's kind tells which scope it needs. */
export const listOperationsInput = z.strictObject({
  workspace: workspaceInput,
  uid: idInput.optional(),
  limit: z.int().min(1).max(500).default(100),
});
export const operationInput = z.strictObject({ workspace: workspaceInput, uid: idInput, key: idInput });
export const cancelOperationInput = operationInput.extend({ requestId: requestIdInput.optional() });

/** Times are ISO-8601. */
export interface OperationAnswer {
  readonly workspace: string;
  readonly uid: string;
  readonly key: string;
  readonly op: string;
  readonly state: OperationRow['state'];
  readonly progress: Json;
  readonly result: Json;
  readonly cancelRequestedAt: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export async function listOperations(
  deps: ApiDeps,
  call: Call,
  input: z.output<typeof listOperationsInput>,
): Promise<{ readonly items: readonly OperationAnswer[] }> {
  requireWorkspace(call.principal, input.workspace);
  requireScope(call.principal, 'operations', 'read');
  const { workspace, uid, limit } = input;
  const rows = await deps.stores.admin.listOperations(
    call.scope,
    uid === undefined ? { workspace, limit } : { workspace, uid, limit },
  );
  return { items: rows.map(operationAnswer) };
}

export async function getOperation(
  deps: ApiDeps,
  call: Call,
  input: z.output<typeof operationInput>,
): Promise<OperationAnswer> {
  requireWorkspace(call.principal, input.workspace);
  requireScope(call.principal, 'operations', 'read');
  return operationAnswer(await find(deps, call, input));
}

/** Asks for the operation to stop; whoever carries it out does so at its next step. */
export async function cancelOperation(
  deps: ApiDeps,
  call: Call,
  input: z.output<typeof cancelOperationInput>,
): Promise<OperationAnswer & { readonly replayed: boolean }> {
  requireWorkspace(call.principal, input.workspace);
  requireScope(call.principal, 'operations', 'write');
  const { workspace, uid, key, requestId } = input;
  await find(deps, call, input);
  const act = (recording: Recording): Promise<boolean> =>
    deps.stores.admin.cancelOperation(call.scope, { workspace, uid, key }, recording);
  const { repeated } = await doOnce(deps, call, { workspace, requestId, input, act });
  return { ...operationAnswer(await find(deps, call, input)), replayed: repeated };
}

async function find(deps: ApiDeps, call: Call, input: z.output<typeof operationInput>): Promise<OperationRow> {
  const { workspace, uid, key } = input;
  const row = await deps.stores.admin.getOperation(call.scope, { workspace, uid, key });
  if (row === null) throw notFound();
  return row;
}

function operationAnswer(row: OperationRow): OperationAnswer {
  const iso = (ms: Ms): string => new Date(ms).toISOString();
  const { workspace, uid, key, op, state, progress, result } = row;
  return {
    workspace,
    uid,
    key,
    op,
    state,
    progress,
    result,
    cancelRequestedAt: row.cancelRequestedAt === null ? null : iso(row.cancelRequestedAt),
    createdAt: iso(row.createdAt),
    updatedAt: iso(row.updatedAt),
  };
}
