import type { Json } from '#resources/json.ts';
import { idempotencyMismatch } from './admission/chain.ts';
import { auditEntry } from './context.ts';
import type { ApiDeps, Call } from './context.ts';
import { requestDigest } from './key-text.ts';

/**
 * Idempotency and audit of mutations that are not of rows. The request is remembered before it is carried out, with what names its
 * effect (an id made beforehand), so that a crash between the two leaves a repeat that finds, or finishes, the same thing.
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

/** Remembers a request. Throws IDEMPOTENCY_MISMATCH if its id stands for something else. */
export async function remember<Results extends Json>(
  deps: ApiDeps,
  call: Call,
  request: OneTime<Results>,
): Promise<Remembered<Results>> {
  const { requestId, results, workspace } = request;
  if (requestId === undefined) return { repeated: false, results };
  const { requestId: _id, ...body } = { requestId, ...request.input };
  const bodyDigest = requestDigest(deps.keyHmacSecret, call.procedure, body);
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
