import fc from 'fast-check';
import '#test/support/seeds.ts';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock, systemRng } from '#controller/clock.ts';
import { silentLogger } from '#controller/log.ts';
import { createMetrics } from '#controller/metrics.ts';
import type { AdminStore } from '#controller/store/admin-store.ts';
import type { ResourceStore } from '#controller/store/resource-store.ts';
import type { ApiKeyRow } from '#controller/store/rows.ts';
import { createSqlSignals } from '#controller/store/signals.ts';
import { createSqlAdminStore } from '#controller/store/sql-admin-store.ts';
import { createSqlEngineStore } from '#controller/store/sql-engine-store.ts';
import { createSqlProviderStore } from '#controller/store/sql-provider-store.ts';
import { kinds } from '#resources/kinds.ts';
import { createKindRegistry } from '#resources/registry.ts';
import type { WireError } from '#api/errors.ts';
import { parseKey } from '#api/key-text.ts';
import { createApiOptions } from '#api/options.ts';
import { createApiServer } from '#api/server.ts';
import { createSqlApiStores } from '#api/sql-stores.ts';
import { bucketManifest, bucketRef, hmacSecret, settle, workspaceManifest } from '#test/e2e/api-support.ts';
import { bend, bent, seeds } from '#test/e2e/api-fuzz-inputs.ts';
import { createDatabase, onCitus, type TestDatabase } from '#test/support/postgres.ts';
import { rootKey } from '#test/support/root-key.ts';

// The API on Postgres, each store behind the login that it has in production.

let db: TestDatabase;
let admin: AdminStore;
let server: FastifyInstance;
let root: string;
const stopping: (() => Promise<void>)[] = [];

beforeAll(async () => {
  db = await createDatabase();
  const [clock, rng] = [systemClock, systemRng];
  const [api, platform, controller] = [
    db.sql('vibn_api', { max: 8 }),
    db.sql('vibn_platform', { max: 8 }),
    db.sql('vibn_controller', { max: 4 }),
  ];
  const signals = createSqlSignals({ url: db.directUrlOf('vibn_api'), clock, rng });
  admin = createSqlAdminStore({ api, platform, controller });
  engine = createSqlEngineStore({ sql: controller, signals });
  const stores = createSqlApiStores({ api, platform, signals });
  ({ resources } = stores);
  await createSqlProviderStore({ sql: controller }).registerCredential({
    provider: 'gcs',
    account: 'p1',
    digest: 'd',
    wakePerSecond: 50,
  });
  server = createApiServer({
    stores: { ...stores, admin },
    kinds: createKindRegistry(kinds),
    signals,
    metrics: createMetrics(),
    clock,
    rng,
    options: createApiOptions({ ratePerSecondDefault: 100_000, waitTimeoutMsDefault: 20_000 }),
    log: silentLogger,
    reader: { read: async () => null, plan: async () => [] },
    keyHmacSecret: hmacSecret,
    keyEnv: 'test',
    ready: () => admin.ping(),
  });
  stopping.push(
    () => server.close(),
    () => signals.end(),
  );
  root = await key({});
  for (const workspace of ['acme', 'beta']) {
    const { error } = await call('resources.apply', { manifest: workspaceManifest(workspace) });
    if (error !== undefined) throw new Error(error.message);
  }
});
let engine: ReturnType<typeof createSqlEngineStore>;
let resources: ResourceStore;
afterAll(async () => {
  for (const stop of stopping) await stop();
  await db[Symbol.asyncDispose]();
});

async function key(overrides: Partial<ApiKeyRow>): Promise<string> {
  const { row, text } = rootKey(hmacSecret, overrides);
  await admin.createKey('platform', row);
  return text;
}

async function call(procedure: string, input: unknown, bearer = root) {
  const response = await server.inject({
    method: 'POST',
    url: `/trpc/${procedure}`,
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
    payload: JSON.stringify(input),
  });
  const json = response.json<{ result?: { data: never }; error?: WireError }>();
  return { status: response.statusCode, data: json.result?.data as never, error: json.error };
}

describe('the API on Postgres', () => {
  // One after the other under the shard's lock: on a cluster, so many of them outlast the deadline of 5 s.
  const crowd = onCitus() ? 100 : 1_000;
  it(`makes one row of ${crowd} equal requests at once`, async () => {
    const input = { manifest: bucketManifest('crowd'), requestId: 'crowd' };
    const answers = await Promise.all(Array.from({ length: crowd }, () => call('resources.apply', input)));
    expect(new Set(answers.map((one) => one.status))).toEqual(new Set([200]));
    const rows = answers.map((one) => one.data as { metadata: { uid: string; generation: number }; replayed: boolean });
    expect(new Set(rows.map((row) => `${row.metadata.uid}/${row.metadata.generation}`)).size).toBe(1);
    expect(rows.filter((row) => !row.replayed)).toHaveLength(1);
    const [{ count } = { count: 0 }] =
      await db.owner`select count(*)::int as count from resources where name = 'crowd'`;
    expect(count).toBe(1);
  });

  it('goes through apply, patch, list, wait, delete and undelete with a key of the workspace', async () => {
    const mine = await key({ workspace: 'acme' });
    const ref = bucketRef('life');
    expect((await call('resources.apply', { manifest: bucketManifest('life') }, mine)).status).toBe(200);
    const waiting = call('resources.wait', { refs: [ref], timeoutMs: 20_000 }, mine);
    await settle({ engine, stores: { resources } }, ref);
    expect((await waiting).data).toMatchObject({ outcome: 'met' });
    const patched = await call('resources.patch', { ...ref, patch: { versioning: true } }, mine);
    expect(patched.data).toMatchObject({ metadata: { generation: 2 } });
    expect(
      (await call('resources.list', { kind: 'Bucket', condition: { type: 'Ready', status: 'Unknown' } }, mine)).data,
    ).toMatchObject({
      items: expect.arrayContaining([expect.objectContaining({ metadata: expect.objectContaining({ name: 'life' }) })]),
    });
    const deleted = await call('resources.delete', { ...ref, confirm: 'life' }, mine);
    expect(deleted.data).toMatchObject({ metadata: { generation: 3, deletedAt: expect.any(String) } });
    expect((await call('resources.undelete', ref, mine)).data).toMatchObject({ metadata: { generation: 4 } });
    const history = (await call('resources.history', ref, mine)).data as { generation: number }[];
    expect(history.map((one) => one.generation)).toEqual([4, 3, 2, 1]);
  });

  it('shows a key of one workspace nothing of another', async () => {
    const mine = await key({ workspace: 'acme' });
    await call('resources.apply', { manifest: bucketManifest('theirs', { workspace: 'beta' }) });
    expect((await call('resources.get', bucketRef('theirs', 'beta'), mine)).status).toBe(404);
    const { items } = (await call('resources.list', {}, mine)).data as { items: { metadata: { workspace: string } }[] };
    expect(new Set(items.map((one) => one.metadata.workspace))).toEqual(new Set(['acme']));
  });

  it('keeps keys: made once, listed, revoked at once here', async () => {
    const input = { workspace: 'acme', scopes: ['storage:*'], requestId: 'k1' };
    const made = (await call('keys.create', input)).data as { id: string; secret: string };
    expect((await call('keys.create', input)).data).toEqual({ id: made.id, secret: null, alreadyCreated: true });
    expect((await call('resources.list', { kind: 'Bucket' }, made.secret)).status).toBe(200);
    const { items } = (await call('keys.list', { workspace: 'acme' })).data as { items: { id: string }[] };
    expect(items.map((one) => one.id)).toContain(made.id);
    expect((await call('keys.revoke', { id: made.id })).data).toMatchObject({ revokedAt: expect.any(String) });
    expect((await call('resources.list', { kind: 'Bucket' }, made.secret)).status).toBe(401);
    const [stored] = await db.owner`select secret_hash from api_keys where id = ${made.id}`;
    expect(stored?.['secret_hash']).not.toBe(parseKey(made.secret)?.secret);
  });

  it('lets a workspace key manage the keys of its workspace alone', async () => {
    const mine = await key({ workspace: 'acme' });
    const foreign = parseKey(await key({ workspace: 'beta' }))?.id;
    expect((await call('keys.create', { workspace: 'acme', scopes: ['storage:read'] }, mine)).status).toBe(200);
    expect((await call('keys.revoke', { id: foreign }, mine)).status).toBe(404);
    expect((await call('keys.list', { workspace: 'beta' }, mine)).status).toBe(404);
  });

  it('freezes and thaws a provider account with the platform login', async () => {
    const at = { provider: 'gcs', account: 'p1' };
    expect((await call('providers.freeze', { ...at, why: 'incident' })).data).toMatchObject({
      frozen: { why: 'incident' },
    });
    expect((await call('providers.thaw', at)).data).toMatchObject({ frozen: null });
  });

  it('starts, suspends, resumes and cancels a replay once for one requestId', async () => {
    const input = { selector: { workspace: 'acme', kind: 'Bucket' }, requestId: 'r1' };
    const { id } = (await call('replays.create', input)).data as { id: string };
    expect((await call('replays.create', input)).data).toMatchObject({ id, replayed: true });
    expect((await call('replays.suspend', { id })).data).toMatchObject({ state: 'suspended' });
    expect((await call('replays.cancel', { id })).data).toMatchObject({ state: 'cancelled', estimateMs: 0 });
    expect((await call('replays.get', { id: crypto.randomUUID() })).status).toBe(404);
  });

  it('answers lists of what there is not yet', async () => {
    expect((await call('decisions.list', {})).data).toEqual({ items: [] });
    expect((await call('operations.list', { workspace: 'acme' })).data).toEqual({ items: [] });
  });

  it('chains one audit entry for each mutation and each denied attempt', async () => {
    const reader = await key({ workspace: 'acme', scopes: ['storage:read'] });
    await call('resources.apply', { manifest: bucketManifest('audited') });
    await call('resources.apply', { manifest: bucketManifest('audited', { spec: { versioning: true } }) }, reader);
    const rows =
      await db.owner`select procedure, outcome from audit_log where target = 'Bucket/acme/audited' order by seq`;
    expect(rows.map((row) => [row['procedure'], row['outcome']])).toEqual([
      ['resources.apply', 'ok'],
      ['resources.apply', 'FORBIDDEN'],
    ]);
  });

  it('is ready, and says so', async () => {
    expect((await server.inject('/readyz')).statusCode).toBe(200);
  });

  it('refuses hostile keys and cursors without asking the database for what cannot be', async () => {
    const evil = `vibn_test_${'a'.repeat(16)}_${'0'.repeat(48)}_00000000`;
    expect((await call('resources.list', {}, evil)).status).toBe(401);
    for (const name of ["'; drop table resources; --", '\ud800', '%00']) {
      const { status } = await call('resources.get', { ...bucketRef(), name });
      expect([400, 404]).toContain(status);
    }
    const odd = await call('resources.list', { workspace: 'acme', labels: { "a'b": '"' }, owner: 'not-a-uuid' });
    expect([200, 400]).toContain(odd.status);
    expect((await call('operations.get', { workspace: 'acme', uid: 'not-a-uuid', key: 'x' })).status).toBe(404);
    expect((await call('replays.get', { id: 'not-a-uuid' })).status).toBe(404);
    const cursor = Buffer.from('["wait","Ready",[["acme","Bucket","life","not-a-uuid",1]]]').toString('base64url');
    const waited = await call('resources.wait', { refs: [bucketRef('life')], timeoutMs: 0, cursor });
    expect(waited.status).toBeLessThan(500);
  });

  it.each(seeds.map(([procedure, input], index) => ({ index, procedure, input })))(
    '$index $procedure: no input that is almost right makes the database fail',
    async ({ procedure, input }) => {
      const runs = Number(process.env['VIBN_FUZZ_RUNS'] ?? '40');
      await fc.assert(
        fc.asyncProperty(fc.array(bend, { minLength: 1, maxLength: 3 }), async (bends) => {
          const body = bends.reduce((value, one) => bent(value, one), input);
          const { status, error } = await call(procedure, shortened(body));
          expect({ status, code: error?.data.code }).not.toMatchObject({
            code: expect.stringMatching(/INTERNAL|UNAVAILABLE/),
          });
        }),
        { numRuns: runs },
      );
    },
  );
});

/** A wait for nothing would take its whole default time. */
function shortened(body: unknown): unknown {
  return body !== null && typeof body === 'object' && 'refs' in body && !('timeoutMs' in body)
    ? { ...body, timeoutMs: 0 }
    : body;
}
