import type { Json } from '#resources/json.ts';
import { RequestRepeated } from '#controller/store/recording.ts';
import type { RecordedRequest, Recording } from '#controller/store/recording.ts';
import { idempotencyMismatch } from './admission/chain.ts';
import { auditEntry } from './context.ts';
import type { ApiDeps, Call } from './context.ts';
import { requestDigest } from './key-text.ts';
import { tenantOf } from './tenant.ts';

/**
 * Idempotency and audit of mutations that are not of rows. The store writes the recording in the transaction of the change: a request is
 * remembered, and is in the audit log, if and only if it was carried out.
 */
export interface OneTime {
  readonly workspace: string | null;
  readonly requestId: string | undefined;
  /** The whole input as it came. */
  readonly input: object;
  /** What a repeat needs to find the effect again. */
  readonly results?: Json;
  /** Of what was made, for the audit entry. */
  readonly id?: string;
}

/** Carries out a wish, unless this request was carried out before: then its results. Throws IDEMPOTENCY_MISMATCH, or what `act` throws. */
export async function doOnce(
  deps: ApiDeps,
  call: Call,
  wish: OneTime & { readonly act: (recording: Recording) => Promise<unknown> },
): Promise<{ readonly repeated: boolean; readonly results: Json }> {
  try {
    await deps.records.run(tenantOf(call.principal), () => wish.act(recordingOf(deps, call, wish)));
    return { repeated: false, results: wish.results ?? null };
  } catch (error) {
    if (!(error instanceof RequestRepeated)) throw error;
    return { repeated: true, results: resultsOf(deps, call, { request: wish, earlier: error.earlier }) };
  }
}

/** What an equal request answered before; null: there is none. Throws IDEMPOTENCY_MISMATCH if its id stands for something else. */
export async function earlierResults(
  deps: ApiDeps,
  call: Call,
  request: OneTime,
): Promise<{ readonly results: Json } | null> {
  const { workspace, requestId } = request;
  if (requestId === undefined) return null;
  const { lineage } = call.principal;
  const earlier = await deps.stores.admin.findRequest(call.scope, { workspace, lineage, requestId });
  return earlier === null ? null : { results: resultsOf(deps, call, { request, earlier }) };
}

function resultsOf(
  deps: ApiDeps,
  call: Call,
  { request, earlier }: { readonly request: OneTime; readonly earlier: RecordedRequest },
): Json {
  if (earlier.bodyDigest !== digestOf(deps, call, request)) throw idempotencyMismatch();
  return earlier.results;
}

function recordingOf(deps: ApiDeps, call: Call, request: OneTime): Recording {
  const { workspace, requestId, input, results = null, id } = request;
  const audit = auditEntry(deps, call, { input: id === undefined ? input : { ...input, id }, outcome: 'ok' });
  if (requestId === undefined) return { workspace, audit };
  const { lineage } = call.principal;
  const bodyDigest = digestOf(deps, call, request);
  return { workspace, audit, request: { lineage, requestId, bodyDigest, results } };
}

/** What a request's id is compared with. */
function digestOf(deps: ApiDeps, call: Call, { input }: OneTime): string {
  const { requestId: _id, ...body }: { requestId?: unknown } = { ...input };
  return requestDigest(deps.keyHmacSecret, call.procedure, body);
}
