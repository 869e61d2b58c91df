// Flow step 2 of 10: admission. Before: api/server.ts. After: controller/store (putSpec).
import type { MutationOutcome } from '#controller/store/resource-store.ts';
import { admissionFollow } from '#resources/admission.ts';
import type { AdmissionContext } from '#resources/admission.ts';
import { ApiError } from '#resources/errors.ts';
import type { RememberedRequest, RowWrite } from '#resources/mutation.ts';
import { keyText } from '#resources/reference.ts';
import type { ResourceKey } from '#resources/resource.ts';
import { auditEntry } from '#api/context.ts';
import type { ApiDeps, Call } from '#api/context.ts';
import { requestDigest } from '#api/key-text.ts';

/**
 * Runs the pure admission of resources/ inside the one transaction that writes: the last place that may say no.
 *
 * Invariants
 * C1  The decision sees all it needs under the shard's lock; what it turns out to need besides is read, and it is asked again.
 * C2  A remembered request writes nothing: it is answered from what it did, as that is now.
 * C3  A request id stands for one procedure and body; another is IDEMPOTENCY_MISMATCH.
 */
export interface Mutation<Result> {
  readonly workspace: string;
  readonly reads: readonly ResourceKey[];
  readonly planHash?: string | undefined;
  readonly requestId?: string | undefined;
  /** The whole input as it came: its digest stands for the request. */
  readonly input: object;
  /** Pure; may run more than once. Throws ApiError to refuse, ReadAgain to see more rows. */
  readonly decide: (context: AdmissionContext, has: (key: ResourceKey) => boolean) => Decided<Result>;
}

export interface Decided<Result> {
  readonly writes: readonly RowWrite[];
  readonly result: Result;
}

export type Admitted<Result> =
  | { readonly done: true; readonly outcome: MutationOutcome; readonly result: Result }
  | { readonly done: false; readonly earlier: RememberedRequest };

/** Thrown by a decision that needs rows it was not shown. */
export class ReadAgain extends Error {
  override readonly name = 'ReadAgain';
  readonly keys: readonly ResourceKey[];
  constructor(keys: readonly ResourceKey[]) {
    super('The decision needs more rows.');
    this.keys = keys;
  }
}

/** A patch can lead to rows that lead to others; each round names all it lacks. */
const roundsMax = 4;

/** Admits one mutation: all of its writes, or none. */
export async function admit<Result>(deps: ApiDeps, call: Call, mutation: Mutation<Result>): Promise<Admitted<Result>> {
  const reads = new Map(mutation.reads.map((key) => [keyText(key), key]));
  for (let round = 1; ; round += 1) {
    try {
      return await admitOnce(deps, call, { mutation, reads });
    } catch (error) {
      if (!(error instanceof ReadAgain) || round === roundsMax)
        throw await namingOwner(deps, call, { mutation, error });
      for (const key of error.keys) reads.set(keyText(key), key);
    }
  }
}

/** "Owned by the row <uid>" becomes "owned by <its name>": the decision sees only rows that the request leads to. */
async function namingOwner(
  deps: ApiDeps,
  call: Call,
  { mutation, error }: { readonly mutation: { readonly workspace: string }; readonly error: unknown },
): Promise<unknown> {
  if (!(error instanceof ApiError) || error.data.code !== 'IN_USE') return error;
  const { current } = error.data;
  const uid = typeof current === 'string' ? /^the row ([\w-]+)$/.exec(current)?.[1] : undefined;
  if (uid === undefined || typeof current !== 'string') return error;
  const [owner] = await deps.stores.resources.getByUid(call.scope, mutation.workspace, [uid]);
  if (owner === undefined) return error;
  const { code, message, ...details } = error.data;
  const name = keyText(owner.row);
  return new ApiError(code, message.replace(current, name), { ...details, current: name });
}

async function admitOnce<Result>(
  deps: ApiDeps,
  call: Call,
  { mutation, reads }: { mutation: Mutation<Result>; reads: ReadonlyMap<string, ResourceKey> },
): Promise<Admitted<Result>> {
  const { requestId: _id, ...body } = { requestId: undefined, ...mutation.input };
  const bodyDigest = requestDigest(deps.keyHmacSecret, call.procedure, body);
  const workspaceRows = await deps.rowCounts.of(call.scope, mutation.workspace);
  let decided: Decided<Result> | null = null;
  const outcome = await deps.stores.resources.mutate({
    scope: call.scope,
    workspace: mutation.workspace,
    reads: [...reads.values()],
    follow: admissionFollow(deps.kinds),
    ...(mutation.planHash === undefined ? {} : { planHash: mutation.planHash }),
    ...(mutation.requestId === undefined
      ? {}
      : { request: { lineage: call.principal.lineage, requestId: mutation.requestId, bodyDigest } }),
    audit: auditEntry(deps, call, { input: body, outcome: 'ok', bodyDigest }),
    decide: (snapshot) => {
      decided = null;
      if (snapshot.request !== null) return refuseOtherBody(snapshot.request, bodyDigest);
      const uuid = (): string => deps.rng.uuid();
      const context = { kinds: deps.kinds, snapshot, principal: call.principal, uuid, workspaceRows };
      decided = mutation.decide(context, (key) => reads.has(keyText(key)) || snapshot.rows.has(keyText(key)));
      return decided.writes;
    },
  });
  const { request: earlier } = outcome.snapshot;
  if (earlier !== null) return { done: false, earlier };
  return { done: true, outcome, result: resultOf(decided) };
}

function refuseOtherBody(earlier: RememberedRequest, bodyDigest: string): readonly RowWrite[] {
  if (earlier.bodyDigest !== bodyDigest) throw idempotencyMismatch();
  return [];
}

/** The request id was used for something else. */
export function idempotencyMismatch(): ApiError {
  return new ApiError('IDEMPOTENCY_MISMATCH', 'This requestId was used for another call or body. Choose a new one.', {
    path: 'requestId',
  });
}

/** A transaction that committed without a remembered request has decided. */
function resultOf<Result>(decided: Decided<Result> | null): Result {
  if (decided === null) throw new Error('A mutation committed without a decision.');
  return decided.result;
}

/** Refuses to go on without the rows that these references name. */
export function demand(keys: readonly ResourceKey[], has: (key: ResourceKey) => boolean): void {
  const lacking = keys.filter((key) => !has(key));
  if (lacking.length > 0) throw new ReadAgain(lacking);
}
