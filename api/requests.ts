import type { Json } from '#resources/json.ts';
import { idempotencyMismatch } from './admission/chain.ts';
import { auditEntry } from './context.ts';
import type { ApiDeps, Call } from './context.ts';
import { requestDigest } from './key-text.ts';

/**
 * Idempotency and audit of mutations that are not of rows. What makes something is remembered before it is carried out, with the id that
 * it will have: a crash between the two leaves a repeat that finds, or finishes, the same thing (`remember`). What is harmless to do
 * twice is remembered after it is done: a repeat of what failed or was lost does it, and one of what succeeded does not (`doOnce`).
 */
export interface OneTime<Results extends Json> {
  readonly workspace: string | null;
  readonly requestId: string | undefined;
  /** The whole input as it came. */
  readonly input: object;
  /** What a repeat needs to find the effect again. */
  readonly results: Results;
}

export interface Remembered<Results extends Json> {
  readonly repeated: boolean;
  /** Of the first request, if this one repeats it. */
  readonly results: Results;
}

/** What a request's id is compared with. */
function digestOf(deps: ApiDeps, call: Call, request: { readonly requestId: string; readonly input: object }): string {
  const { requestId: _id, ...body } = { requestId: request.requestId, ...request.input };
  return requestDigest(deps.keyHmacSecret, call.procedure, body);
}

/**
 * Carries out and audits a wish that is harmless to carry out twice, unless this request was carried out before. Throws
 * IDEMPOTENCY_MISMATCH, or what `act` throws: then nothing is remembered.
 */
export async function doOnce(
  deps: ApiDeps,
  call: Call,
  wish: Omit<OneTime<null>, 'results'> & { readonly act: () => Promise<unknown> },
): Promise<{ readonly repeated: boolean }> {
  const { workspace, requestId, input } = wish;
  const { lineage } = call.principal;
  if (requestId !== undefined) {
    const earlier = await deps.stores.admin.findRequest(call.scope, { workspace, lineage, requestId });
    if (earlier !== null && earlier.bodyDigest !== digestOf(deps, call, { requestId, input }))
      throw idempotencyMismatch();
    if (earlier !== null) return { repeated: true };
  }
  await wish.act();
  const { repeated } = await remember(deps, call, { workspace, requestId, input, results: null });
  if (!repeated) await audited(deps, call, { workspace, input });
  return { repeated };
}

/** Remembers a request. Throws IDEMPOTENCY_MISMATCH if its id stands for something else. */
export async function remember<Results extends Json>(
  deps: ApiDeps,
  call: Call,
  request: OneTime<Results>,
): Promise<Remembered<Results>> {
  const { requestId, results, workspace } = request;
  if (requestId === undefined) return { repeated: false, results };
  const bodyDigest = digestOf(deps, call, { requestId, input: request.input });
  const earlier = await deps.stores.admin.rememberRequest(call.scope, {
    workspace,
    lineage: call.principal.lineage,
    requestId,
    bodyDigest,
    results,
  });
  if (earlier === null) return { repeated: false, results };
  if (earlier.bodyDigest !== bodyDigest) throw idempotencyMismatch();
  return { repeated: true, results: earlier.results as Results };
}

/** Writes the audit entry of a mutation that was carried out. */
export async function audited(
  deps: ApiDeps,
  call: Call,
  what: { readonly workspace: string | null; readonly input: object },
): Promise<void> {
  await deps.stores.admin.audit(
    call.scope,
    what.workspace,
    auditEntry(deps, call, { input: what.input, outcome: 'ok' }),
  );
}
