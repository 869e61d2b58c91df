import { AsyncLocalStorage } from 'node:async_hooks';
import { initTRPC } from '@trpc/server';
import type { Clock, Rng } from '#controller/clock.ts';
import { scrubText } from '#controller/log.ts';
import type { Logger } from '#controller/log.ts';
import type { AdminStore } from '#controller/store/admin-store.ts';
import type { ProviderStore } from '#controller/store/provider-store.ts';
import type { AuditEntry } from '#controller/store/recording.ts';
import type { ReplayStore } from '#controller/store/replay-store.ts';
import type { ResourceStore, Scope } from '#controller/store/resource-store.ts';
import type { Feed } from '#controller/watch/feed.ts';
import { validationError } from '#resources/errors.ts';
import type { KnownFields } from '#resources/issues.ts';
import type { Kind } from '#resources/kind.ts';
import { unknownKind } from '#resources/manifest.ts';
import type { KindRegistry } from '#resources/registry.ts';
import type { Principal } from '#resources/resource.ts';
import type { Authenticator, Caller } from './auth.ts';
import { toWireError } from './errors.ts';
import type { HeldPages } from './held-pages.ts';
import { requestDigest } from './key-text.ts';
import type { ApiOptions } from './options.ts';
import type { ReaderClient } from './reader-client.ts';
import type { OpenReads, ReadLane } from './read-lane.ts';
import type { RowCounts } from './row-counts.ts';
import { isDenial } from './scopes.ts';
import type { RowLooks } from './shared-looks.ts';
import { tenantOf } from './tenant.ts';
import type { ParkedWaits } from './waits/parked-waits.ts';
import type { Seat } from './waits/parked.ts';

/** The stores of the API; on Postgres behind two logins, in tests in memory. */
export interface ApiStores {
  readonly resources: ResourceStore;
  readonly admin: AdminStore;
  readonly providers: Pick<ProviderStore, 'providers' | 'freeze' | 'thaw'>;
  readonly replays: Pick<ReplayStore, 'create' | 'get' | 'list' | 'setState'>;
}

/** What every procedure may use. */
export interface ApiDeps {
  readonly stores: ApiStores;
  readonly kinds: KindRegistry;
  readonly feed: Feed;
  readonly reader: ReaderClient;
  readonly auth: Authenticator;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly options: ApiOptions;
  readonly log: Logger;
  readonly rowCounts: RowCounts;
  /** What calls that stay open read with. */
  readonly lane: ReadLane;
  readonly reads: OpenReads;
  readonly held: HeldPages;
  /** What is written but rows: it locks the shard, so a tenant's calls wait for each other here and hold no connection meanwhile. */
  readonly records: ReadLane;
  readonly rows: RowLooks;
  readonly waits: ParkedWaits;
  readonly keyHmacSecret: string;
  /** The environment named in new keys: "prod", "dev". */
  readonly keyEnv: string;
}

/** One HTTP request: who calls, and the id that its error, its log lines, its audit entries and its revisions carry. */
export interface Context {
  readonly caller: Caller;
  /** What the input of a procedure may have: named where something else was sent. */
  readonly fieldsOf?: (procedure: string) => KnownFields;
  readonly traceId: string;
  /** Null: this door can not answer a wait later. */
  readonly seat: Seat | null;
}

/** What a procedure knows of its call. */
export interface Call {
  readonly principal: Principal;
  readonly scope: Scope;
  readonly caller: Caller;
  readonly traceId: string;
  /** Dotted name, e.g. "resources.apply". */
  readonly procedure: string;
  readonly seat: Seat | null;
}

/** The trace id of the request under way, for errors that come before there is a context. */
export const traceOfRequest = new AsyncLocalStorage<string>();

const t = initTRPC.context<Context>().create({
  isDev: false,
  errorFormatter: ({ error, path = null, ctx }) =>
    toWireError(error, {
      procedure: path,
      traceId: ctx?.traceId ?? traceOfRequest.getStore() ?? '',
      ...(ctx?.fieldsOf === undefined || path === null ? {} : { fields: ctx.fieldsOf(path) }),
    }),
});

export const createTrpcRouter = t.router;

/** The start of every procedure: `ctx` becomes a Call, and denied attempts are audited. */
export function procedureBase(deps: ApiDeps) {
  return t.procedure.use(async ({ ctx, path, next, getRawInput }) => {
    const { caller, traceId, seat } = ctx;
    const { principal, scope } = caller;
    const call: Call = { caller, principal, scope, traceId, seat, procedure: path };
    const result = await next({ ctx: call });
    if (!result.ok && isDenial(result.error.cause)) {
      const input = await getRawInput().catch(() => null);
      await auditDenial(deps, call, { input, outcome: result.error.cause.data.code });
    }
    return result;
  });
}

/** A denial is answered even if it cannot be written down; the log has it then. */
async function auditDenial(deps: ApiDeps, call: Call, what: { input: unknown; outcome: string }): Promise<void> {
  try {
    const { workspace } = call.principal;
    const entry = auditEntry(deps, call, what);
    await deps.records.run(tenantOf(call.principal), () => deps.stores.admin.audit(call.scope, workspace, entry));
  } catch (error) {
    deps.log.error({ error, procedure: call.procedure, traceId: call.traceId }, 'A denied attempt was not audited');
  }
}

/** An entry of the audit log. The body is in it as a keyed digest only, `bodyDigest` if that is known already. */
export function auditEntry(
  deps: ApiDeps,
  call: Call,
  what: { readonly input: unknown; readonly outcome: string; readonly bodyDigest?: string },
): AuditEntry {
  return {
    actor: call.principal.keyId,
    lineage: call.principal.lineage,
    procedure: call.procedure,
    outcome: what.outcome,
    target: targetOf(what.input),
    bodyDigest: what.bodyDigest ?? requestDigest(deps.keyHmacSecret, call.procedure, what.input),
    traceId: call.traceId,
  };
}

const targetCharsMax = 256;
/** Looked through for secrets: the input of a denied attempt may hold anything, of any length. */
const scrubbedCharsMax = 1_024;

/** What an input is about, as text: "Bucket/acme/uploads", "acme", "rep_1". Without what is a key by its shape. */
function targetOf(input: unknown): string {
  const body = record(input);
  const manifest = record(body['manifest'] ?? (Array.isArray(body['manifests']) ? body['manifests'][0] : undefined));
  const named = { ...body, ...record(manifest['metadata']), kind: manifest['kind'] ?? body['kind'] };
  const parts = ['kind', 'workspace', 'name', 'id', 'provider', 'account'].map((field) => record(named)[field]);
  const text = parts.filter((part) => typeof part === 'string' && part !== '').join('/');
  const plain = text.slice(0, scrubbedCharsMax).toWellFormed().replaceAll('\u0000', '');
  // Cut in the midst of a character, it would be no text that the log can store, and the attempt be in no log.
  return scrubText(plain).slice(0, targetCharsMax).toWellFormed();
}

function record(value: unknown): Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? { ...value } : {};
}

/** The kind named at `path` of the input. Throws VALIDATION naming those there are. */
export function kindOf(deps: Pick<ApiDeps, 'kinds'>, name: string, path = 'kind'): Kind {
  const kind = deps.kinds.get(name);
  if (kind === undefined) throw validationError([unknownKind(name, deps.kinds, path)]);
  return kind;
}
