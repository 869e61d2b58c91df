import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '#controller/log.ts';
import type { ApiDeps } from '#api/context.ts';
import { createApiOptions } from '#api/options.ts';
import { createRouter } from '#api/router.ts';
import { kinds } from '#resources/kinds.ts';
import { createKindRegistry } from '#resources/registry.ts';
import { bucketManifest, bucketRef, startApi } from './api-support.ts';
import type { TestApi } from './api-support.ts';

/**
 * The router walked by reflection: every procedure, with what belongs to another tenant. A procedure without a generator fails.
 */
const router = createRouter({
  kinds: createKindRegistry(kinds),
  options: createApiOptions(),
  log: silentLogger,
} as unknown as ApiDeps);
const procedures = Object.keys(router._def.procedures).toSorted();

interface Foreign {
  /** Workspace that the inputs name. */
  readonly workspace: string;
  readonly keyId: string;
  readonly uid: string;
}

/** Valid inputs about a foreign tenant's things. `platform`: for platform keys alone; `open`: about no tenant's things. */
const generators: Readonly<Record<string, 'platform' | 'open' | ((at: Foreign) => readonly object[])>> = {
  'resources.apply': ({ workspace }) => [
    { manifest: bucketManifest('theirs', { workspace }) },
    { manifest: bucketManifest('new', { workspace }) },
  ],
  'resources.patch': (at) => [{ ...bucketRef('theirs', at.workspace), patch: { versioning: true } }],
  'resources.apply_all': ({ workspace }) => [
    { manifests: [bucketManifest('theirs', { workspace })] },
    { manifests: [bucketManifest('mine'), bucketManifest('theirs', { workspace })] },
  ],
  'resources.delete': (at) => [{ ...bucketRef('theirs', at.workspace), confirm: 'theirs' }],
  'resources.undelete': (at) => [bucketRef('theirs', at.workspace)],
  'resources.get': (at) => [bucketRef('theirs', at.workspace)],
  'resources.list': ({ workspace, uid }) => [{ workspace }, { workspace, kind: 'Bucket', owner: uid }],
  'resources.wait': ({ workspace }) => [
    { refs: [bucketRef('theirs', workspace)], timeoutMs: 0 },
    { refs: [bucketRef('mine'), bucketRef('theirs', workspace)], timeoutMs: 0 },
    { refs: [bucketRef('theirs', workspace)], until: 'Deleted', timeoutMs: 0 },
  ],
  'resources.watch': ({ workspace }) => [{ workspace }, { workspace, kind: 'Bucket' }],
  'resources.plan': ({ workspace }) => [
    { workspace, changes: [{ delete: { kind: 'Bucket', name: 'theirs' } }] },
    { workspace, changes: [{ apply: bucketManifest('theirs', { workspace }) }] },
  ],
  'resources.explain': (at) => [bucketRef('theirs', at.workspace)],
  'resources.history': (at) => [bucketRef('theirs', at.workspace)],
  'resources.passes': (at) => [bucketRef('theirs', at.workspace)],
  'resources.events': (at) => [bucketRef('theirs', at.workspace)],
  'resources.tree': (at) => [bucketRef('theirs', at.workspace)],
  'kinds.list': 'open',
  'kinds.schema': 'open',
  'replays.create': 'platform',
  'replays.get': 'platform',
  'replays.list': 'platform',
  'replays.suspend': 'platform',
  'replays.resume': 'platform',
  'replays.cancel': 'platform',
  'providers.list': 'platform',
  'providers.freeze': 'platform',
  'providers.thaw': 'platform',
  'decisions.list': ({ workspace }) => [{ workspace }],
  'decisions.resolve': (at) => [
    { ...bucketRef('theirs', at.workspace), effect: 'create:1', outcome: 'happened', evidence: 'seen' },
  ],
  'operations.list': ({ workspace, uid }) => [{ workspace }, { workspace, uid }],
  'operations.get': ({ workspace, uid }) => [{ workspace, uid, key: 'dump' }],
  'operations.cancel': ({ workspace, uid }) => [{ workspace, uid, key: 'dump' }],
  'keys.create': ({ workspace }) => [{ workspace, scopes: ['storage:read'] }],
  'keys.list': ({ workspace }) => [{ workspace }],
  'keys.rotate': ({ keyId }) => [{ id: keyId }],
  'keys.revoke': ({ keyId }) => [{ id: keyId }],
  'storage.buckets.create': ({ workspace }) => [{ workspace, name: 'new' }],
  'storage.buckets.list': ({ workspace }) => [{ workspace }],
  'storage.buckets.delete': ({ workspace }) => [{ workspace, name: 'theirs', confirm: 'theirs' }],
  'storage.set_lifecycle': ({ workspace }) => [{ workspace, bucket: 'theirs', lifecycle: [] }],
  'storage.delete_object': ({ workspace }) => [{ workspace, bucket: 'theirs', key: 'a.txt' }],
  'storage.presign_upload': ({ workspace }) => [
    { workspace, bucket: 'theirs', key: 'a.txt', contentType: 'text/plain' },
  ],
  'storage.presign_download': ({ workspace }) => [{ workspace, bucket: 'theirs', key: 'a.txt' }],
  'storage.list_objects': ({ workspace }) => [{ workspace, bucket: 'theirs' }],
};

/** Platform calls with valid inputs. */
const platformInputs: Readonly<Record<string, object>> = {
  'replays.create': { selector: { workspace: 'beta' } },
  'replays.list': {},
  'providers.list': {},
  'providers.freeze': { provider: 'gcs', account: 'p', why: 'x' },
  'providers.thaw': { provider: 'gcs', account: 'p' },
};

let api: TestApi;
let mine: string;
let theirs: Foreign;
beforeAll(async () => {
  api = await startApi({ reader: { read: async () => ({ leaked: true }), plan: async () => [{ leaked: true }] } });
  mine = api.key({ workspace: 'acme', class: 'human' });
  api.key({ workspace: 'beta', id: 'beta000000000000' });
  await api.call('resources.apply', { manifest: bucketManifest('mine') });
  const { data } = await api.call('resources.apply', { manifest: bucketManifest('theirs', { workspace: 'beta' }) });
  const { uid } = (data as { metadata: { uid: string } }).metadata;
  const keyId = [...api.admin.keys.values()].find((key) => key.workspace === 'beta')?.id ?? '';
  theirs = { workspace: 'beta', uid, keyId };
});
afterAll(() => api.close());

interface Sent {
  readonly message: string;
  readonly code: number;
  readonly data: Record<string, unknown>;
}

/** The error of an answer, of a stream too, without what differs by request. */
async function errorOf(procedure: string, input: object): Promise<object> {
  const response = await api.server.inject({
    method: 'POST',
    url: `/trpc/${procedure}`,
    headers: { authorization: `Bearer ${mine}`, 'content-type': 'application/json' },
    payload: JSON.stringify(input),
  });
  const streamed = /event: serialized-error\ndata: (.*)\n/.exec(response.body)?.[1];
  const error: Sent | undefined =
    streamed === undefined ? response.json<{ error?: Sent }>().error : (JSON.parse(streamed) as Sent);
  if (error === undefined) throw new Error(`${procedure} answered ${response.body.slice(0, 300)}`);
  const { procedure: _procedure, requestId: _id, ...data } = error.data;
  return { message: error.message, code: error.code, data };
}

const notFound = {
  message: 'There is no such thing here, or the key may not see it.',
  code: -32_004,
  data: {
    code: 'NOT_FOUND',
    httpStatus: 404,
    message: 'There is no such thing here, or the key may not see it.',
    path: null,
    allowed: null,
    current: null,
    issues: [],
    retryable: false,
    retryAfterMs: null,
    remedy: [],
  },
};

describe('another tenant', () => {
  it('has a generator for every procedure, and for nothing else', () => {
    expect(Object.keys(generators).toSorted()).toEqual(procedures);
  });

  it.each(procedures)('%s: what is foreign looks exactly like what is missing', async (procedure) => {
    const generator = generators[procedure];
    if (typeof generator !== 'function') return expect(['platform', 'open']).toContain(generator);
    for (const input of generator(theirs)) expect(await errorOf(procedure, input)).toEqual(notFound);
    const nobody = { workspace: 'nobody', uid: crypto.randomUUID(), keyId: 'absent0000000000' };
    for (const input of generator(nobody)) expect(await errorOf(procedure, input)).toEqual(notFound);
  });

  it.each(Object.keys(platformInputs))('%s is for platform keys alone', async (procedure) => {
    expect(await errorOf(procedure, platformInputs[procedure] ?? {})).toMatchObject({ data: { code: 'FORBIDDEN' } });
  });

  it('looks the same as an unknown procedure', async () => {
    expect(await errorOf('resources.nothing', {})).toEqual(notFound);
    expect(await errorOf('toString', {})).toEqual(notFound);
  });

  it("changes nothing of the other tenant, and each denied attempt is audited in one's own chain", async () => {
    api.admin.entries.length = 0;
    await errorOf('resources.delete', { ...bucketRef('theirs', 'beta'), confirm: 'theirs' });
    expect(api.admin.entries).toEqual([
      {
        workspace: 'acme',
        entry: expect.objectContaining({
          procedure: 'resources.delete',
          outcome: 'NOT_FOUND',
          target: 'Bucket/beta/theirs',
        }),
      },
    ]);
    const { data } = await api.call('resources.get', bucketRef('theirs', 'beta'));
    expect(data).toMatchObject({ metadata: { generation: 1, deletedAt: null } });
  });

  it('refuses cursors of another workspace', async () => {
    const list = (await api.call('resources.list', { workspace: 'beta', limit: 1 })).data as Page;
    const listed = await errorOf('resources.list', { workspace: 'acme', cursor: list.nextCursor });
    expect(listed).toMatchObject({ data: { code: 'VALIDATION', path: 'cursor' } });
    const watched = await errorOf('resources.watch', { workspace: 'acme', cursor: list.watchCursor });
    expect(watched).toMatchObject({ data: { code: 'VALIDATION', path: 'cursor' } });
  });

  it('sees its own workspace only, when it names none', async () => {
    const { data } = await api.call('resources.list', {}, mine);
    const workspaces = new Set((data as Page).items.map((one) => one.metadata.workspace));
    expect([...workspaces]).toEqual(['acme']);
    const keys = (await api.call('keys.list', {}, mine)).data as { items: { workspace: string }[] };
    expect(keys.items.every((key) => key.workspace === 'acme')).toBe(true);
  });

  it('may not declare a Workspace with a key of a workspace', async () => {
    const manifest = { ...bucketManifest('acme'), kind: 'Workspace' };
    expect(await errorOf('resources.apply', { manifest })).toMatchObject({ data: { code: 'FORBIDDEN' } });
  });
});

/** Which scope each procedure about a Bucket of one's own workspace needs: written by hand. */
const scopeTable: readonly (readonly [procedure: string, scope: string, input: object])[] = [
  ['resources.apply', 'storage:write', { manifest: bucketManifest('scoped') }],
  ['resources.patch', 'storage:write', { ...bucketRef('mine'), patch: {} }],
  ['resources.apply_all', 'storage:write', { manifests: [bucketManifest('scoped')] }],
  ['resources.delete', 'storage:delete', { ...bucketRef('scoped'), confirm: 'wrong' }],
  ['resources.undelete', 'storage:write', bucketRef('mine')],
  ['resources.get', 'storage:read', bucketRef('mine')],
  ['resources.list', 'storage:read', { kind: 'Bucket' }],
  ['resources.wait', 'storage:read', { refs: [bucketRef('mine')], timeoutMs: 0 }],
  ['resources.plan', 'storage:read', { workspace: 'acme', changes: [{ apply: bucketManifest('mine') }] }],
  ['resources.explain', 'storage:read', bucketRef('mine')],
  ['resources.history', 'storage:read', bucketRef('mine')],
  ['resources.passes', 'storage:read', bucketRef('mine')],
  ['resources.events', 'storage:read', bucketRef('mine')],
  ['resources.tree', 'storage:read', bucketRef('mine')],
  ['operations.list', 'operations:read', { workspace: 'acme' }],
  ['keys.create', 'keys:write', { workspace: 'acme', scopes: ['keys:write'] }],
  ['keys.list', 'keys:read', { workspace: 'acme' }],
  ['storage.buckets.create', 'storage:write', { workspace: 'acme', name: 'mine' }],
  ['storage.buckets.list', 'storage:read', { workspace: 'acme' }],
  ['storage.buckets.delete', 'storage:delete', { workspace: 'acme', name: 'mine', confirm: 'wrong' }],
  ['storage.set_lifecycle', 'storage:write', { workspace: 'acme', bucket: 'mine', lifecycle: [] }],
  ['storage.delete_object', 'storage:delete', { workspace: 'acme', bucket: 'mine', key: 'a.txt' }],
  ['storage.presign_upload', 'storage:write', { workspace: 'acme', bucket: 'mine', key: 'a', contentType: 'a/b' }],
  ['storage.presign_download', 'storage:read', { workspace: 'acme', bucket: 'mine', key: 'a' }],
  ['storage.list_objects', 'storage:read', { workspace: 'acme', bucket: 'mine' }],
];
const everyScope = ['storage', 'workspaces', 'operations', 'keys', 'email'].flatMap((area) =>
  ['read', 'write', 'delete'].map((action) => `${area}:${action}`),
);

describe('scopes', () => {
  it.each(scopeTable)('%s needs %s, and no other scope does', async (procedure, scope, input) => {
    for (const given of everyScope) {
      const key = api.key({ workspace: 'acme', class: 'human', scopes: [given] });
      const { error } = await api.call(procedure, input, key);
      const forbidden = (error as typeof error | undefined)?.data.code === 'FORBIDDEN';
      expect({ given, forbidden }).toEqual({ given, forbidden: given !== scope });
    }
  });

  it.each(['*', '*:*', 'storage:*', '*:write', 'storage:write'])('%s allows to write buckets', async (scope) => {
    const key = api.key({ workspace: 'acme', scopes: [scope] });
    expect((await api.call('resources.apply', { manifest: bucketManifest('mine') }, key)).status).toBe(200);
  });

  it('ignores status, uid and finalizers that a manifest tries to set', async () => {
    const manifest = { ...bucketManifest('forged', { metadata: { uid: 'mine', generation: 9 } }), status: { x: 1 } };
    const { data } = await api.call('resources.apply', { manifest });
    expect(data).toMatchObject({ metadata: { generation: 1 }, status: { observedGeneration: 0 } });
    expect((data as { metadata: { uid: string } }).metadata.uid).not.toBe('mine');
    const finalizers = bucketManifest('forged', { metadata: { finalizers: ['x'] } });
    const { error } = await api.call('resources.apply', { manifest: finalizers });
    expect(error.data).toMatchObject({ code: 'VALIDATION', path: 'manifest.metadata.finalizers' });
  });
});

interface Page {
  readonly items: readonly { metadata: { workspace: string } }[];
  readonly nextCursor: string | null;
  readonly watchCursor: string | null;
}
