import type { FastifyInstance } from 'fastify';
import { createMetrics } from '#controller/metrics.ts';
import { systemClock, systemRng } from '#controller/clock.ts';
import { silentLogger } from '#controller/log.ts';
import type { Clock, Rng } from '#controller/clock.ts';
import type { AdminStore, KeyQuery, KeyWish } from '#controller/store/admin-store.ts';
import type { EngineStore } from '#controller/store/engine-store.ts';
import type { ProviderStore } from '#controller/store/provider-store.ts';
import type { AuditEntry, Recording } from '#controller/store/recording.ts';
import type { Signals } from '#controller/store/resource-store.ts';
import type { ApiKeyRow, OperationRow } from '#controller/store/rows.ts';
import { mergeConditions } from '#resources/conditions.ts';
import type { ConditionDraft } from '#resources/condition.ts';
import { kinds } from '#resources/kinds.ts';
import { createKindRegistry } from '#resources/registry.ts';
import type { KindRegistry } from '#resources/registry.ts';
import type { ResourceKey } from '#resources/resource.ts';
import { shardOf } from '#resources/shard.ts';
import type { ApiStores } from '#api/context.ts';
import type { WireError } from '#api/errors.ts';
import { createApiOptions } from '#api/options.ts';
import type { ApiOptions } from '#api/options.ts';
import type { ReaderClient } from '#api/reader-client.ts';
import { createApiServer } from '#api/server.ts';
import { createMemoryDatabase } from '#test/simulation/memory-store/database.ts';
import type { MemoryDatabase } from '#test/simulation/memory-store/database.ts';
import { beginRecorded, recordedRequest } from '#test/simulation/memory-store/recording.ts';
import { rootKey } from '#test/support/root-key.ts';
import { openBacking } from './api-stores.ts';

/** The API over stores in memory, called as its callers do: over HTTP, injected or on a loopback port. */
export const hmacSecret = 'a secret that only the tests of the API know';
const registry = createKindRegistry(kinds);

/** The admin store in memory: what the API asks of it, nothing more. */
export class MemoryAdmin implements AdminStore {
  readonly keys = new Map<string, ApiKeyRow>();
  readonly entries: { readonly workspace: string | null; readonly entry: AuditEntry }[] = [];
  readonly operations: OperationRow[] = [];
  readonly looked: string[] = [];
  readonly touched: string[] = [];
  down = false;
  /** Where it records; the stores of rows and providers may be elsewhere. */
  readonly #db = createMemoryDatabase({ now: () => Date.now() });

  #record(recording: Recording | undefined): void {
    if (recording === undefined) return;
    beginRecorded(this.#db, recording)();
    this.entries.push({ workspace: recording.workspace, entry: recording.audit });
  }

  async findKey(id: string) {
    this.looked.push(id);
    return this.keys.get(id) ?? null;
  }
  async createKey(_scope: unknown, key: ApiKeyRow, wish?: KeyWish) {
    const record = wish === undefined ? null : beginRecorded(this.#db, wish.recording);
    const own = [...this.keys.values()].filter((one) => one.workspace === key.workspace);
    const holding = own.filter((one) => one.revokedAt === null && (one.expiresAt ?? Infinity) > Date.now()).length;
    if (wish !== undefined && holding >= wish.holdingMax) return holding;
    record?.();
    if (wish !== undefined) this.entries.push({ workspace: wish.recording.workspace, entry: wish.recording.audit });
    this.keys.set(key.id, key);
    return null;
  }
  async listKeys(_scope: unknown, { workspace, limit, after = { createdAt: 0, id: '' } }: KeyQuery) {
    const behind = (key: ApiKeyRow): boolean =>
      key.createdAt > after.createdAt || (key.createdAt === after.createdAt && key.id > after.id);
    const found = [...this.keys.values()]
      .filter((key) => key.workspace === workspace && behind(key))
      .toSorted((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
    return { items: found.slice(0, limit), more: found.length > limit };
  }
  async revokeKey(_scope: unknown, id: string, recording?: Recording) {
    const key = this.keys.get(id);
    if (key !== undefined) this.#record(recording);
    if (key !== undefined) this.keys.set(id, { ...key, revokedAt: key.revokedAt ?? Date.now() });
    return key !== undefined;
  }
  async touchKey(id: string) {
    this.touched.push(id);
  }
  async audit(_scope: unknown, workspace: string | null, entry: AuditEntry) {
    this.entries.push({ workspace, entry });
  }
  async findRequest(_scope: unknown, input: Parameters<AdminStore['findRequest']>[1]) {
    return recordedRequest(this.#db, input);
  }
  async listOperations(_scope: unknown, input: { workspace: string; uid?: string; limit: number }) {
    return this.operations.filter((one) => one.workspace === input.workspace).slice(0, input.limit);
  }
  async getOperation(_scope: unknown, input: { workspace: string; uid: string; key: string }) {
    const same = (one: OperationRow): boolean => one.uid === input.uid && one.key === input.key;
    return this.operations.find((one) => one.workspace === input.workspace && same(one)) ?? null;
  }
  async cancelOperation(_scope: unknown, _at: unknown, recording?: Recording) {
    this.#record(recording);
    return true;
  }
  async writePlans() {
    throw new Error('only the reader writes plans');
  }
  async ping() {
    if (this.down) throw new Error('down');
  }
}

export interface TestApi {
  readonly server: FastifyInstance;
  readonly stores: ApiStores;
  readonly admin: MemoryAdmin;
  readonly engine: EngineStore;
  readonly providers: ProviderStore;
  /** To look into: not where the run goes through a pooler (`pooled`). */
  readonly tables: () => MemoryDatabase;
  readonly signals: Signals;
  /** A platform key of class human with all scopes. */
  readonly root: string;
  /** Makes a key. */
  key(overrides: Partial<ApiKeyRow>): string;
  /** Calls by POST; answers status, data or error, and headers. */
  call(procedure: string, input: unknown, key?: string): Promise<Answered>;
  close(): Promise<void>;
}

export interface Answered {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  /** Of a success. */
  readonly data: never;
  readonly error: WireError;
}

export interface TestApiInput {
  readonly options?: Partial<ApiOptions>;
  readonly clock?: Clock;
  readonly rng?: Rng;
  readonly reader?: Partial<ReaderClient>;
  readonly kinds?: KindRegistry;
  /** A database that others use too, a world's for one; default: an empty one of its own. */
  readonly database?: MemoryDatabase;
}

const noReader: ReaderClient = {
  read: async () => ({ asked: 'read' }),
  plan: async () => [],
};

/** An API over empty stores with the workspaces acme and beta declared. */
export async function startApi(input: TestApiInput = {}): Promise<TestApi> {
  const { close: closeBacking, stores: rest, ...backing } = await openBacking(input.database);
  const admin = new MemoryAdmin();
  const stores: ApiStores = { ...rest, admin };
  const server = createApiServer({
    stores,
    kinds: input.kinds ?? registry,
    signals: backing.signals,
    metrics: createMetrics(),
    clock: input.clock ?? systemClock,
    rng: input.rng ?? systemRng,
    options: createApiOptions({ ratePerSecondDefault: 100_000, ...input.options }),
    log: silentLogger,
    reader: { ...noReader, ...input.reader },
    keyHmacSecret: hmacSecret,
    keyEnv: 'test',
    ready: () => admin.ping(),
  });
  const key = (overrides: Partial<ApiKeyRow>): string => {
    const { row, text } = rootKey(hmacSecret, { createdAt: 0, ...overrides });
    admin.keys.set(row.id, row);
    return text;
  };
  const root = key({});
  const call = async (procedure: string, body: unknown, bearer = root): Promise<Answered> => {
    const response = await server.inject({
      method: 'POST',
      url: `/trpc/${procedure}`,
      headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
      payload: JSON.stringify(body),
    });
    const json = response.json<{ result?: { data: never }; error?: WireError }>();
    return {
      status: response.statusCode,
      headers: response.headers,
      data: json.result?.data as never,
      error: json.error as never,
    };
  };
  const close = async (): Promise<void> => {
    await server.close();
    await closeBacking();
  };
  const api = { ...backing, server, stores, admin, root, key, call, close };
  for (const workspace of ['acme', 'beta']) {
    const declared = await call('resources.apply', { manifest: workspaceManifest(workspace) });
    if (declared.status !== 200) throw new Error(JSON.stringify(declared.error));
  }
  return api;
}

export function workspaceManifest(workspace: string) {
  return { apiVersion: 'vibn.dev/v1', kind: 'Workspace', metadata: { workspace, name: workspace }, spec: {} };
}

export function bucketManifest(name = 'uploads', more: { spec?: object; metadata?: object; workspace?: string } = {}) {
  return {
    apiVersion: 'vibn.dev/v1',
    kind: 'Bucket',
    metadata: { workspace: more.workspace ?? 'acme', name, ...more.metadata },
    spec: more.spec ?? {},
  };
}

export const bucketRef = (name = 'uploads', workspace = 'acme'): ResourceKey => ({ workspace, kind: 'Bucket', name });

const readyDraft: ConditionDraft = {
  type: 'Ready',
  status: 'True',
  reason: 'Available',
  message: 'All is as declared.',
};

/** What the controller would settle for a row, without a controller: its status, conditions and observed generation. */
export async function settle(
  api: { readonly engine: EngineStore; readonly stores: Pick<ApiStores, 'resources'> },
  key: ResourceKey,
  drafts: readonly ConditionDraft[] = [readyDraft],
): Promise<void> {
  const shard = shardOf(key.workspace);
  const view = await api.stores.resources.get('platform', key);
  if (view === null) throw new Error(`no row ${key.name}`);
  const { uid } = view.row;
  const claims = await api.engine.claim({ shard, holder: 'test', limit: 500, perWorkspaceMax: 500, leaseMs: 60_000 });
  const claim = claims.find((one) => one.uid === uid);
  if (claim === undefined) throw new Error(`${key.name} is not due`);
  const { version, now, rows } = await api.engine.readRows(shard, [uid]);
  const row = rows[0]?.row;
  if (row === undefined) throw new Error('gone');
  const conditions = mergeConditions(row.conditions, drafts, { generation: row.generation, now });
  await api.engine.settle(shard, [
    {
      shard,
      uid,
      epoch: claim.epoch,
      holder: 'test',
      wakeSeq: claim.wakeSeq,
      generation: row.generation,
      readVersion: version,
      claimedAt: claim.claimedAt,
      dueInMs: 0,
      priority: 'resync',
      attempts: 0,
      status: { status: row.status, conditions, observedGeneration: row.generation, outputsDigest: null },
      fires: [],
      verified: true,
      materialized: true,
      clearTakenOver: false,
      intents: [],
      dropAnnounced: [],
      decided: [],
      operations: [],
    },
  ]);
  await api.engine.release(
    claims.filter((one) => one.uid !== uid).map((one) => ({ shard, uid: one.uid, epoch: one.epoch, holder: 'test' })),
  );
}
