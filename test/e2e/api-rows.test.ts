import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bucketManifest, bucketRef, settle, startApi } from './api-support.ts';
import type { TestApi } from './api-support.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api.close());

const uid = /^[0-9a-f-]{36}$/;

describe('declaring', () => {
  it('answers the resource with its defaults, its first generation and Ready=Unknown', async () => {
    const { status, data } = await api.call('resources.apply', { manifest: bucketManifest('first') });
    expect(status).toBe(200);
    expect(data).toMatchObject({
      apiVersion: 'vibn.dev/v1',
      kind: 'Bucket',
      metadata: { workspace: 'acme', name: 'first', generation: 1, owner: null, deletedAt: null, undoUntil: null },
      spec: { publicRead: false, deletionPolicy: 'Delete', suspend: null },
      status: { observedGeneration: 0 },
      kept: [],
      replayed: false,
    });
    expect(data).toHaveProperty('metadata.uid', expect.stringMatching(uid));
    const ready = (data as { status: { conditions: { type: string; status: string; reason: string }[] } }).status;
    expect(ready.conditions.find((one) => one.type === 'Ready')).toMatchObject({
      status: 'Unknown',
      reason: 'NotYetReconciled',
    });
  });

  it('changes neither generation nor version when there is nothing new', async () => {
    const first = await api.call('resources.apply', { manifest: bucketManifest('same') });
    const again = await api.call('resources.apply', { manifest: bucketManifest('same') });
    expect(again.data).toMatchObject({ metadata: (first.data as { metadata: object }).metadata });
  });

  it('moves the version but not the generation for labels alone', async () => {
    const first = (await api.call('resources.apply', { manifest: bucketManifest('labelled') })).data as Answer;
    const metadata = { labels: { team: 'web' } };
    const second = (await api.call('resources.apply', { manifest: bucketManifest('labelled', { metadata }) }))
      .data as Answer;
    expect(second.metadata.generation).toBe(first.metadata.generation);
    expect(second.metadata.version).toBeGreaterThan(first.metadata.version);
    expect(second.metadata.labels).toEqual({ team: 'web' });
  });

  it('keeps sticky fields that are omitted and says which', async () => {
    const suspend = { reason: 'holiday' };
    await api.call('resources.apply', { manifest: bucketManifest('sticky', { spec: { suspend } }) });
    const { data } = await api.call('resources.apply', { manifest: bucketManifest('sticky') });
    expect(data).toMatchObject({ spec: { suspend }, kept: expect.arrayContaining(['spec.suspend']) });
  });

  it('accepts what get answered, so that get, edit, apply works', async () => {
    await api.call('resources.apply', { manifest: bucketManifest('roundtrip') });
    const got = (await api.call('resources.get', bucketRef('roundtrip'))).data as Answer;
    const { status, data } = await api.call('resources.apply', {
      manifest: { ...got, spec: { ...got.spec, versioning: true } },
      ifGeneration: 1,
    });
    expect(status).toBe(200);
    expect(data).toMatchObject({ metadata: { generation: 2 }, spec: { versioning: true } });
  });

  it('refuses a stale generation and says the current one', async () => {
    await api.call('resources.apply', { manifest: bucketManifest('stale') });
    const { status, error } = await api.call('resources.apply', { manifest: bucketManifest('stale'), ifGeneration: 0 });
    expect(status).toBe(409);
    expect(error.data).toMatchObject({ code: 'GENERATION_CONFLICT', path: 'ifGeneration', current: 1 });
    expect(error.code).toBe(-32_009);
  });

  it('patches the spec as a JSON merge patch', async () => {
    await api.call('resources.apply', { manifest: bucketManifest('patched', { spec: { versioning: true } }) });
    const { data } = await api.call('resources.patch', { ...bucketRef('patched'), patch: { publicRead: true } });
    expect(data).toMatchObject({ spec: { publicRead: true, versioning: true }, metadata: { generation: 2 } });
  });

  it('names the field of a patch as the caller wrote it', async () => {
    const { error } = await api.call('resources.patch', { ...bucketRef('patched'), patch: { storageClass: 'COLD' } });
    expect(error.data).toMatchObject({ code: 'VALIDATION', path: 'patch.storageClass' });
  });

  it('declares many of one workspace together, references among them included, or none', async () => {
    const deletion = {
      ...bucketManifest('del-1', { spec: { bucket: 'together', name: 'a.txt' } }),
      kind: 'ObjectDeletion',
    };
    const { status, data } = await api.call('resources.apply_all', {
      manifests: [deletion, bucketManifest('together')],
    });
    expect(status).toBe(200);
    expect((data as Answer[]).map((one) => one.metadata.name)).toEqual(['del-1', 'together']);
    const bad = await api.call('resources.apply_all', {
      manifests: [bucketManifest('not-written'), { ...deletion, spec: { bucket: 'missing', name: 'a' } }],
    });
    expect(bad.error.data).toMatchObject({ code: 'VALIDATION', path: expect.stringContaining('manifests[1]') });
    expect((await api.call('resources.get', bucketRef('not-written'))).status).toBe(404);
  });
});

describe('deleting', () => {
  it('asks for the name again, then sets deletedAt and a new generation', async () => {
    await api.call('resources.apply', { manifest: bucketManifest('gone') });
    const unconfirmed = await api.call('resources.delete', bucketRef('gone'));
    expect(unconfirmed).toMatchObject({ status: 428, error: { data: { code: 'CONFIRMATION_REQUIRED' } } });
    const { data } = await api.call('resources.delete', { ...bucketRef('gone'), confirm: 'gone' });
    expect(data).toMatchObject({
      metadata: { generation: 2, deletedAt: expect.any(String), undoUntil: expect.any(String) },
    });
    const edited = await api.call('resources.apply', {
      manifest: bucketManifest('gone', { spec: { versioning: true } }),
    });
    expect(edited).toMatchObject({ status: 409, error: { data: { code: 'IN_USE' } } });
    expect(edited.error.data.remedy.map((one) => one.call.proc)).toEqual(['resources.undelete', 'resources.wait']);
    const back = await api.call('resources.undelete', bucketRef('gone'));
    expect(back.data).toMatchObject({ metadata: { generation: 3, deletedAt: null } });
  });

  it('refuses what is protected', async () => {
    const { error } = await api.call('resources.delete', {
      workspace: 'acme',
      kind: 'Workspace',
      name: 'acme',
      confirm: 'acme',
    });
    expect(error.data).toMatchObject({ code: 'PROTECTED', httpStatus: 409 });
  });

  it('asks an agent to quote a plan, and names the call', async () => {
    const agent = api.key({ workspace: 'acme', class: 'agent' });
    await api.call('resources.apply', { manifest: bucketManifest('planned') });
    const { status, error } = await api.call(
      'resources.delete',
      { ...bucketRef('planned'), confirm: 'planned' },
      agent,
    );
    expect(status).toBe(403);
    expect(error.data).toMatchObject({ code: 'APPROVAL_REQUIRED', remedy: [{ call: { proc: 'resources.plan' } }] });
  });
});

describe('listing', () => {
  it('goes by workspace, kind and name, in pages, with a cursor for a watch', async () => {
    for (const name of ['a', 'b', 'c']) {
      await api.call('resources.apply', { manifest: bucketManifest(name, { workspace: 'beta' }) });
    }
    const first = (await api.call('resources.list', { workspace: 'beta', kind: 'Bucket', limit: 2 })).data as Page;
    expect(first.items.map((one) => one.metadata.name)).toEqual(['a', 'b']);
    expect(first.watchCursor).toEqual(expect.any(String));
    const cursor = first.nextCursor;
    const rest = (await api.call('resources.list', { workspace: 'beta', kind: 'Bucket', limit: 2, cursor }))
      .data as Page;
    expect(rest.items.map((one) => one.metadata.name)).toEqual(['c']);
    expect(rest.nextCursor).toBeNull();
  });

  it('answers all workspaces to a platform key that names none, without a watch cursor', async () => {
    const { data } = await api.call('resources.list', { kind: 'Workspace' });
    expect((data as Page).items.map((one) => one.metadata.name)).toEqual(['acme', 'beta']);
    expect((data as Page).watchCursor).toBeNull();
  });

  it('leaves out kinds that the key may not read', async () => {
    const key = api.key({ workspace: 'beta', scopes: ['workspaces:read'] });
    const { data } = await api.call('resources.list', {}, key);
    expect((data as Page).items.map((one) => one.kind)).toEqual(['Workspace']);
  });
});

describe('kinds and their verbs', () => {
  it('lists the kinds with their verbs and facts', async () => {
    const { data } = await api.call('kinds.list', {});
    expect((data as { kind: string }[]).find((one) => one.kind === 'Bucket')).toEqual({
      kind: 'Bucket',
      plural: 'buckets',
      lifecycle: 'loop',
      holdsData: true,
      verbs: expect.arrayContaining(['storage.buckets.create', 'storage.presign_upload']),
      conditions: ['Created', 'PolicyApplied', 'PublicAccessAsDeclared'],
    });
  });

  it('answers the JSON Schema of a kind and of its verbs', async () => {
    const { data } = await api.call('kinds.schema', { kind: 'Bucket' });
    expect(data).toMatchObject({
      kind: 'Bucket',
      spec: { type: 'object', properties: { publicRead: { type: 'boolean' } } },
      status: { type: 'object' },
      reasons: expect.arrayContaining([expect.objectContaining({ reason: 'PolicyDiffers', class: 'drift' })]),
      verbs: expect.arrayContaining([
        expect.objectContaining({ name: 'storage.buckets.create', input: expect.objectContaining({ type: 'object' }) }),
      ]),
    });
  });

  it('creates, changes, lists and deletes by verbs', async () => {
    const created = await api.call('storage.buckets.create', { workspace: 'acme', name: 'verbed', versioning: true });
    expect(created.data).toMatchObject({ kind: 'Bucket', spec: { versioning: true } });
    const again = await api.call('storage.buckets.create', { workspace: 'acme', name: 'verbed' });
    expect(again.status).toBe(409);
    const lifecycle = [{ deleteAfterDays: 3 }];
    const set = await api.call('storage.set_lifecycle', { workspace: 'acme', bucket: 'verbed', lifecycle });
    expect(set.data).toMatchObject({ spec: { lifecycle, versioning: true } });
    const listed = (await api.call('storage.buckets.list', { workspace: 'acme' })).data as Page;
    expect(listed.items.map((one) => one.metadata.name)).toContain('verbed');
    const deleted = await api.call('storage.buckets.delete', { workspace: 'acme', name: 'verbed', confirm: 'verbed' });
    expect(deleted.data).toMatchObject({ metadata: { deletedAt: expect.any(String) } });
  });

  it('asks the reader for what only a provider knows, and only about rows that are there', async () => {
    await api.call('resources.apply', { manifest: bucketManifest('readable') });
    const input = { workspace: 'acme', bucket: 'readable', key: 'a.txt' };
    expect((await api.call('storage.presign_download', input)).data).toEqual({ asked: 'read' });
    expect((await api.call('storage.presign_download', { ...input, bucket: 'absent' })).status).toBe(404);
  });

  it('says which field of a verb is wrong, as the caller wrote it', async () => {
    const { error } = await api.call('storage.buckets.create', { workspace: 'acme', name: 'Bad_Name' });
    expect(error.data).toMatchObject({ code: 'VALIDATION', path: 'name' });
  });
});

describe('recorded facts', () => {
  it('tells who declared what, and why a row is as it is', async () => {
    const key = bucketRef('told');
    await api.call('resources.apply', { manifest: bucketManifest('told') });
    await api.call('resources.patch', { ...key, patch: { versioning: true }, requestId: 'req-told' });
    const history = (await api.call('resources.history', key)).data as {
      generation: number;
      requestId: string | null;
    }[];
    expect(history.map((one) => one.generation)).toEqual([2, 1]);
    expect(history[0]?.requestId).toBe('req-told');
    await settle(api, key, [
      { type: 'Ready', status: 'False', reason: 'NameTaken', message: 'The name is taken.' },
      { type: 'Stalled', status: 'True', reason: 'NameTaken', message: 'The name is taken.', remedy: [], clearsOn: [] },
    ]);
    const { data } = await api.call('resources.explain', key);
    expect(data).toMatchObject({ ready: { reason: 'NameTaken' }, because: [{ type: 'Stalled' }], chain: [] });
    const events = (await api.call('resources.events', key)).data as { type: string }[];
    expect(events.map((one) => one.type)).toEqual(expect.arrayContaining(['Declared', 'Condition']));
    const tree = await api.call('resources.tree', key);
    expect(tree.data).toMatchObject({ root: { ref: key, children: [] }, truncated: false });
    expect((await api.call('resources.passes', key)).data).toEqual([]);
  });
});

interface Answer {
  readonly kind: string;
  readonly metadata: { name: string; generation: number; version: number; labels: object };
  readonly spec: object;
}
interface Page {
  readonly items: readonly Answer[];
  readonly nextCursor: string | null;
  readonly watchCursor: string | null;
}
