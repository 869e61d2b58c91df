import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '#api/client.ts';
import { encodeCursor } from '#api/cursors.ts';
import { bucketManifest, bucketRef, startApi } from './api-support.ts';
import type { TestApi } from './api-support.ts';

/** What a hostile tenant tried with keys of its own, and must not get. */
let api: TestApi;
beforeAll(async () => {
  api = await startApi();
  await api.call('resources.apply', { manifest: bucketManifest('mine') });
});
afterAll(() => api.close());

const agent = (scopes: readonly string[], more: Parameters<TestApi['key']>[0] = {}): string =>
  api.key({ workspace: 'acme', class: 'agent', scopes, ...more });

describe('a key that may write and not delete', () => {
  const deletion = {
    apiVersion: 'vibn.dev/v1',
    kind: 'ObjectDeletion',
    metadata: { workspace: 'acme', name: 'del-1' },
    spec: { bucket: 'mine', name: 'important.txt' },
  };
  const ref = { workspace: 'acme', kind: 'ObjectDeletion', name: 'del-1' };

  it.each([
    ['resources.apply', { manifest: deletion }],
    ['resources.apply_all', { manifests: [bucketManifest('mine'), deletion] }],
    ['resources.patch', { ...ref, patch: { suspend: null } }],
    ['resources.undelete', ref],
    ['storage.delete_object', { workspace: 'acme', bucket: 'mine', key: 'important.txt' }],
  ])('deletes no object by %s', async (procedure, input) => {
    const { status, error } = await api.call(procedure, input, agent(['storage:read', 'storage:write']));
    expect({ status, allowed: error.data.allowed }).toEqual({
      status: 403,
      allowed: ['storage:delete', 'storage:*'],
    });
  });

  it('may declare one with the scope to delete', async () => {
    const { status } = await api.call('resources.apply', { manifest: deletion }, agent(['storage:delete']));
    expect(status).toBe(200);
  });
});

describe('the Workspace', () => {
  const ref = { workspace: 'acme', kind: 'Workspace', name: 'acme' };

  it.each(['resources.delete', 'resources.undelete'])("is not the tenant's own to %s", async (procedure) => {
    const input = procedure === 'resources.delete' ? { ...ref, confirm: 'acme' } : ref;
    const human = api.key({ workspace: 'acme', class: 'human', scopes: ['*'] });
    expect((await api.call(procedure, input, human)).error.data).toMatchObject({
      code: 'FORBIDDEN',
      allowed: ['platform'],
    });
  });
});

describe('a key that manages keys', () => {
  const soon = (): number => Date.now() + 3_600_000;
  const input = { workspace: 'acme', scopes: ['storage:read'] };
  const manager = (more: Parameters<TestApi['key']>[0]) => agent(['keys:write', 'storage:read'], more);

  it('gives no greater rate than its own', async () => {
    const key = manager({ ratePerSecond: 50 });
    const wider = await api.call('keys.create', { ...input, ratePerSecond: 51 }, key);
    expect(wider.error.data).toMatchObject({ code: 'FORBIDDEN', path: 'ratePerSecond', allowed: { max: 50 } });
    const made = await api.call('keys.create', { ...input, ratePerSecond: 50 }, key);
    expect(made.data).toMatchObject({ ratePerSecond: 50 });
  });

  it('gives its own rate where none is said', async () => {
    const made = await api.call('keys.create', input, manager({ ratePerSecond: 50 }));
    expect(made.data).toMatchObject({ ratePerSecond: 50 });
  });

  it('gives no more than the default if it has no rate of its own', async () => {
    const small = await startApi({ options: { ratePerSecondDefault: 200 } });
    try {
      const key = small.key({ workspace: 'acme', class: 'agent', scopes: ['*'] });
      const beyond = await small.call('keys.create', { ...input, ratePerSecond: 201 }, key);
      expect(beyond.error.data).toMatchObject({ code: 'FORBIDDEN', allowed: { max: 200 } });
      expect((await small.call('keys.create', input, key)).data).toMatchObject({ ratePerSecond: null });
    } finally {
      await small.close();
    }
  });

  it('gives no longer life than its own, by making or by rotating', async () => {
    const expiresAt = soon();
    const key = manager({ expiresAt });
    const own = new Date(expiresAt).toISOString();
    expect((await api.call('keys.create', input, key)).data).toMatchObject({ expiresAt: own });
    const later = new Date(expiresAt + 1_000).toISOString();
    const longer = await api.call('keys.create', { ...input, expires_at: later }, key);
    expect(longer.error.data).toMatchObject({ code: 'FORBIDDEN', path: 'expires_at', allowed: { max: own } });
    const id = key.split('_')[2];
    expect((await api.call('keys.rotate', { id }, key)).data).toMatchObject({ expiresAt: own });
    expect((await api.call('keys.rotate', { id, expires_at: later }, key)).status).toBe(403);
  });

  it('is told that the key is made already if an equal request made it in between', async () => {
    const own = await startApi();
    try {
      const race = () => own.call('keys.create', { ...input, requestId: 'race' });
      const answers = (await Promise.all([race(), race(), race()])).map((one) => one.data as { secret: string | null });
      expect(answers.filter((one) => one.secret !== null)).toHaveLength(1);
      expect(answers).toContainEqual({ id: expect.any(String), secret: null, alreadyCreated: true });
      expect(new Set(answers.map((one) => (one as { id?: string }).id)).size).toBe(1);
    } finally {
      await own.close();
    }
  });

  it('is not bound by either if it is platform-wide: the admin decides', async () => {
    const made = await api.call('keys.create', { ...input, ratePerSecond: 100_000 }, api.root);
    expect(made.data).toMatchObject({ ratePerSecond: 100_000, expiresAt: null });
  });
});

describe('an API key where a name belongs', () => {
  it('is not kept in the audit log: the entry of a denied attempt names its target', async () => {
    const key = agent(['storage:read']);
    await api.call('resources.get', bucketRef(key, 'beta'), key);
    const entry = api.admin.entries.at(-1)?.entry;
    expect(entry).toMatchObject({ procedure: 'resources.get', outcome: 'NOT_FOUND' });
    expect(entry?.target).toMatch(/^Bucket\/beta\/vibn_test_[a-z0-9]+_\[redacted\]$/);
  });

  it('leaves text that the log can store, also where it is cut in the midst of a character', async () => {
    for (const before of ['', '-']) {
      await api.call('resources.get', bucketRef(before + '\u{1f600}'.repeat(126), 'beta'), agent(['storage:read']));
      const target = api.admin.entries.at(-1)?.entry.target ?? '';
      expect({ length: target.length, whole: target.isWellFormed() }).toEqual({ length: 256, whole: true });
    }
  });
});

describe('a forged cursor', () => {
  const place = ['acme', 'Bucket', 'mine', '\u0000', 0];
  it.each([
    ['resources.list', { cursor: encodeCursor('list', ['acme', '\u0000', 'a']) }],
    ['resources.list', { cursor: encodeCursor('list', ['acme', 'Bucket', '\ud800']) }],
    ['storage.buckets.list', { workspace: 'acme', cursor: encodeCursor('list', ['acme', 'Bucket', '\u0000']) }],
    ['resources.wait', { refs: [bucketRef('mine')], timeoutMs: 0, cursor: encodeCursor('wait', ['Ready', [place]]) }],
  ])('with text that Postgres cannot store is refused by %s', async (procedure, input) => {
    const { status, error } = await api.call(procedure, input, agent(['*']));
    expect({ status, path: error.data.path }).toEqual({ status: 400, path: 'cursor' });
  });

  it('does not show a row of a kind that its key may not read', async () => {
    const workspace = { workspace: 'acme', kind: 'Workspace', name: 'acme' };
    const { uid } = ((await api.call('resources.get', workspace)).data as { metadata: { uid: string } }).metadata;
    const cursor = encodeCursor('wait', ['Ready', [['acme', 'Bucket', 'mine', uid, 1]]]);
    const input = { refs: [bucketRef('mine')], timeoutMs: 0, cursor };
    const { status, error } = await api.call('resources.wait', input, agent(['storage:read']));
    expect({ status, path: error.data.path }).toEqual({ status: 400, path: 'cursor' });
  });
});

describe('a tenant that asks for much at once', () => {
  const names = Array.from({ length: 100 }, (_, index) => `crowd-${index}`);
  const refs = names.map((name) => bucketRef(name));
  const wait = (of: TestApi, key: string, timeoutMs: number) =>
    of.call('resources.wait', { refs: refs.slice(0, 1), timeoutMs }, key);

  it('reads the rows of a wait, and of manifests that change nothing, in one statement', async () => {
    const own = await startApi();
    try {
      const manifests = names.map((name) => bucketManifest(name));
      await own.call('resources.apply_all', { manifests });
      let single = 0;
      const get = own.stores.resources.get.bind(own.stores.resources);
      own.stores.resources.get = (scope, key) => {
        single += 1;
        return get(scope, key);
      };
      const waited = await own.call('resources.wait', { refs, timeoutMs: 0 });
      const again = await own.call('resources.apply_all', { manifests });
      expect([waited.status, again.status, single]).toEqual([200, 200, 0]);
      expect((waited.data as { results: { ref: object }[] }).results.map((one) => one.ref)).toEqual(refs);
      expect((again.data as { metadata: { name: string } }[]).map((one) => one.metadata.name)).toEqual(names);
    } finally {
      await own.close();
    }
  });

  it.each(['resources.apply', 'resources.patch'])('makes no row too large to be listed, by %s', async (procedure) => {
    const lifecycle = Array.from({ length: 80 }, (_, index) => ({
      deleteAfterDays: 1,
      prefix: `${index}`.padEnd(1_000, 'x'),
    }));
    const input =
      procedure === 'resources.apply'
        ? { manifest: bucketManifest('mine', { spec: { lifecycle } }) }
        : { ...bucketRef('mine'), patch: { lifecycle } };
    const { error } = await api.call(procedure, input, agent(['*']));
    expect(error.data).toMatchObject({ code: 'VALIDATION', allowed: { maxBytes: 65_536 } });
  });

  it('has so many open waits and no more, whatever the number of its keys; others wait on', async () => {
    const own = await startApi({ options: { waitsPerTenantMax: 2 } });
    try {
      await own.call('resources.apply', { manifest: bucketManifest('crowd-0') });
      await own.call('resources.apply', { manifest: bucketManifest('crowd-0', { workspace: 'beta' }) });
      const [one, two] = [own.key({ workspace: 'acme' }), own.key({ workspace: 'acme' })];
      const open = [wait(own, one, 500), wait(own, two, 500)];
      const third = await wait(own, two, 0);
      expect(third.error.data).toMatchObject({ code: 'RATE_LIMITED', allowed: { max: 2 }, retryAfterMs: 1_000 });
      const beta = { refs: [bucketRef('crowd-0', 'beta')], timeoutMs: 0 };
      expect((await own.call('resources.wait', beta, own.key({ workspace: 'beta' }))).status).toBe(200);
      expect((await Promise.all(open)).map((answer) => answer.status)).toEqual([200, 200]);
      expect((await wait(own, two, 0)).status).toBe(200);
    } finally {
      await own.close();
    }
  });

  it('has so many open watches and no more, whatever the number of its keys', async () => {
    const own = await startApi({ options: { watchesPerTenantMax: 1 } });
    try {
      const url = await own.server.listen({ port: 0, host: '127.0.0.1' });
      const watch = (workspace: string) => createClient({ url, apiKey: own.key({ workspace }) }).watch({ workspace });
      const [first, second, beta] = [watch('acme'), watch('acme'), watch('beta')];
      expect(await first.next()).toMatchObject({ value: { type: 'CHANGED' } });
      await expect(second.next()).rejects.toMatchObject({ data: { code: 'RATE_LIMITED', allowed: { max: 1 } } });
      expect(await beta.next()).toMatchObject({ value: { type: 'CHANGED' } });
      await Promise.all([first.return(), beta.return()]);
    } finally {
      await own.close();
    }
  });

  it('is written about one call at a time, so that its denied attempts and keys hold one connection', async () => {
    const own = await startApi();
    try {
      const underWay = { now: 0, most: 0 };
      const counted = <A extends readonly unknown[], T>(write: (...args: A) => Promise<T>) => {
        return async (...args: A): Promise<T> => {
          underWay.most = Math.max(underWay.most, (underWay.now += 1));
          await new Promise(setImmediate);
          return await write(...args).finally(() => (underWay.now -= 1));
        };
      };
      const { admin } = own;
      admin.audit = counted(admin.audit.bind(admin));
      admin.createKey = counted(admin.createKey.bind(admin));
      const key = own.key({ workspace: 'acme' });
      const denied = Array.from({ length: 20 }, () => own.call('resources.get', bucketRef('x', 'beta'), key));
      const made = Array.from({ length: 20 }, () => own.call('keys.create', { workspace: 'acme', scopes: ['*'] }, key));
      const statuses = (await Promise.all([...denied, ...made])).map((answer) => answer.status);
      expect(new Set(statuses)).toEqual(new Set([404, 200]));
      expect(underWay).toEqual({ now: 0, most: 1 });
    } finally {
      await own.close();
    }
  });
});
