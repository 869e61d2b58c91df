import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '#controller/clock.ts';
import type { Clock } from '#controller/clock.ts';
import { encodeCursor } from '#api/cursors.ts';
import { parseKey } from '#api/key-text.ts';
import { pooled } from '#test/support/pooler/pooled.ts';
import { bucketManifest, bucketRef, startApi } from './api-support.ts';
import type { TestApi } from './api-support.ts';

/** Wall and monotonic time that only moves when it is told to. */
let skipped = 0;
const clock: Clock = {
  ...systemClock,
  now: () => systemClock.now() + skipped,
  monotonic: () => systemClock.monotonic() + skipped,
};

let api: TestApi;
beforeAll(async () => {
  api = await startApi({ clock });
});
afterAll(() => api.close());

const create = (input: object, key?: string) =>
  api.call('keys.create', { workspace: 'acme', scopes: ['storage:*'], ...input }, key);
const get = (key: string) => api.call('resources.list', { kind: 'Bucket' }, key);
const idOf = (key: string): string => parseKey(key)?.id ?? '';

describe('the life of a key', () => {
  it('is shown once, works, and only its HMAC is kept', async () => {
    const { status, data } = await create({ name: 'ci', class: 'ci' });
    expect(status).toBe(200);
    const { id, secret } = data as { id: string; secret: string };
    expect(secret).toMatch(/^vibn_test_[a-z0-9]{16}_[a-f0-9]{48}_[a-f0-9]{8}$/);
    expect(data).toMatchObject({ workspace: 'acme', class: 'ci', scopes: ['storage:*'], revokedAt: null });
    expect((await get(secret)).status).toBe(200);
    const stored = JSON.stringify([api.admin.keys.get(id), api.admin.entries]);
    expect(stored).not.toContain(parseKey(secret)?.secret);
    const listed = await api.call('keys.list', { workspace: 'acme' });
    expect(JSON.stringify(listed.data)).not.toContain('secret');
  });

  it('never reaches the database when its shape or checksum is wrong', async () => {
    const key = api.key({ workspace: 'acme' });
    const mistyped = `${key.slice(0, -1)}${key.endsWith('0') ? '1' : '0'}`;
    api.admin.looked.length = 0;
    for (const bad of [mistyped, 'vibn_x', '', 'Bearer', key.toUpperCase(), `${key}0`]) {
      expect((await get(bad)).status).toBe(401);
    }
    expect(api.admin.looked).toEqual([]);
  });

  it('answers the same to an unknown, a wrong, a revoked and an expired key', async () => {
    const unknown = api.key({ workspace: 'acme' });
    api.admin.keys.delete(idOf(unknown));
    const wrong = api.key({ workspace: 'acme', secretHash: '00' });
    const revoked = api.key({ workspace: 'acme', revokedAt: 1 });
    const expired = api.key({ workspace: 'acme', expiresAt: clock.now() - 1 });
    const errors = await Promise.all([unknown, wrong, revoked, expired].map(async (key) => (await get(key)).error));
    const bodies = errors.map(({ data: { requestId: _id, ...data } }) => data);
    expect(new Set(bodies.map((body) => JSON.stringify(body))).size).toBe(1);
    expect(bodies[0]).toMatchObject({ code: 'UNAUTHENTICATED', httpStatus: 401 });
  });

  it('fails within 5 s after it was revoked by another process, and at once when revoked here', async () => {
    const elsewhere = api.key({ workspace: 'acme' });
    expect((await get(elsewhere)).status).toBe(200);
    await api.admin.revokeKey(null, idOf(elsewhere));
    skipped += 4_000;
    expect((await get(elsewhere)).status).toBe(401);
    const here = api.key({ workspace: 'acme' });
    expect((await get(here)).status).toBe(200);
    expect((await api.call('keys.revoke', { id: idOf(here) })).data).toMatchObject({ revokedAt: expect.any(String) });
    expect((await get(here)).status).toBe(401);
  });

  it('expires at its time', async () => {
    const expires = new Date(clock.now() + 60_000).toISOString();
    const { data } = await create({ expires_at: expires });
    const { secret } = data as { secret: string };
    expect(data).toMatchObject({ expiresAt: expires });
    expect((await get(secret)).status).toBe(200);
    skipped += 61_000;
    expect((await get(secret)).status).toBe(401);
  });

  it('notes its last use at most once a minute', async () => {
    const key = api.key({ workspace: 'acme' });
    const uses = (): number => api.admin.touched.filter((id) => id === idOf(key)).length;
    for (let n = 0; n < 5; n += 1) await get(key);
    expect(uses()).toBe(1);
    skipped += 60_001;
    await get(key);
    expect(uses()).toBe(2);
  });

  it('is rotated with the same scopes and lineage, both holding until the old one is revoked', async () => {
    const made = (await create({})).data as { id: string; secret: string; lineage: string };
    const rotated = (await api.call('keys.rotate', { id: made.id })).data as typeof made & { scopes: string[] };
    expect(rotated).toMatchObject({ lineage: made.lineage, scopes: ['storage:*'] });
    expect(rotated.id).not.toBe(made.id);
    expect([(await get(made.secret)).status, (await get(rotated.secret)).status]).toEqual([200, 200]);
  });
});

describe('what a key may make', () => {
  it('gives no scope that it lacks, and no class above its own', async () => {
    const agent = api.key({ workspace: 'acme', class: 'agent', scopes: ['keys:*', 'storage:read'] });
    expect((await create({ scopes: ['storage:write'] }, agent)).error.data).toMatchObject({
      code: 'FORBIDDEN',
      path: 'scopes',
    });
    expect((await create({ scopes: ['*'] }, agent)).error.data.path).toBe('scopes');
    expect((await create({ scopes: ['storage:read'], class: 'human' }, agent)).error.data.path).toBe('class');
    expect((await create({ scopes: ['storage:read'] }, agent)).status).toBe(200);
  });

  it('makes platform keys and sre keys with a platform key alone', async () => {
    const human = api.key({ workspace: 'acme', class: 'human' });
    expect((await create({ workspace: null }, human)).status).toBe(403);
    expect((await create({ class: 'sre' }, human)).status).toBe(403);
    expect((await create({ workspace: null, class: 'sre' })).status).toBe(200);
  });

  it('makes one key for one requestId, and shows its secret once', async () => {
    const input = { requestId: 'key-1', name: 'once' };
    const first = (await create(input)).data as { id: string; secret: string };
    expect((await create(input)).data).toEqual({ id: first.id, secret: null, alreadyCreated: true });
    expect((await create({ ...input, name: 'other' })).error.data.code).toBe('IDEMPOTENCY_MISMATCH');
  });

  it('lists the keys of a workspace page by page, each once', async () => {
    const own = await startApi();
    try {
      const made = Array.from({ length: 5 }, (_, n) => idOf(own.key({ workspace: 'acme', createdAt: n < 3 ? 1 : 2 })));
      own.key({ workspace: 'beta' });
      const ids: string[] = [];
      let cursor: string | null = null;
      do {
        const input: object = { workspace: 'acme', limit: 2, ...(cursor === null ? {} : { cursor }) };
        const { data } = await own.call('keys.list', input);
        const page = data as { items: { id: string }[]; nextCursor: string | null };
        ids.push(...page.items.map((key) => key.id));
        cursor = page.nextCursor;
      } while (cursor !== null);
      expect(ids.toSorted()).toEqual(made.toSorted());
      for (const bad of [
        encodeCursor('list', [1, 'a']),
        encodeCursor('keys', [8.64e15, 'a']),
        encodeCursor('keys', [1]),
      ]) {
        expect((await own.call('keys.list', { cursor: bad })).error.data).toMatchObject({
          code: 'VALIDATION',
          path: 'cursor',
        });
      }
    } finally {
      await own.close();
    }
  });

  it('makes no more keys than the limit when many are asked for at once', async () => {
    const own = await startApi({ options: { keysPerWorkspaceMax: 3 } });
    try {
      const asked = Array.from({ length: 8 }, () =>
        own.call('keys.create', { workspace: 'acme', scopes: ['storage:read'] }),
      );
      const codes = (await Promise.all(asked)).map(({ status, error }) => (status === 200 ? 'made' : error.data.code));
      expect(codes.filter((code) => code === 'made')).toHaveLength(3);
      expect(codes.filter((code) => code === 'QUOTA_EXCEEDED')).toHaveLength(5);
    } finally {
      await own.close();
    }
  });

  it('makes no more keys of a workspace than may hold at once, and still answers a repeat', async () => {
    const own = await startApi({ options: { keysPerWorkspaceMax: 2 } });
    try {
      const make = (requestId: string) =>
        own.call('keys.create', { workspace: 'acme', scopes: ['storage:read'], requestId });
      const first = (await make('one')).data as { id: string };
      expect((await make('two')).status).toBe(200);
      expect((await make('three')).error.data).toMatchObject({
        code: 'QUOTA_EXCEEDED',
        allowed: { max: 2 },
        current: 2,
        remedy: [{ id: 'see-keys' }],
      });
      expect((await own.call('keys.rotate', { id: first.id })).error.data.code).toBe('QUOTA_EXCEEDED');
      expect((await make('one')).data).toMatchObject({ alreadyCreated: true });
      await own.call('keys.revoke', { id: first.id });
      expect((await make('three')).status).toBe(200);
    } finally {
      await own.close();
    }
  });
});

describe('the rate of a key', () => {
  it('counts procedures, not requests, and says when to come back', async () => {
    const key = api.key({ workspace: 'acme', ratePerSecond: 1 });
    const batch = () =>
      api.server.inject({
        method: 'POST',
        url: `/trpc/${Array(20).fill('kinds.list').join(',')}?batch=1`,
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        payload: '{}',
      });
    expect((await batch()).statusCode).toBe(200);
    const refused = await batch();
    expect(refused.statusCode).toBe(429);
    const { error } = refused.json<{ error: { data: { code: string; retryAfterMs: number; retryable: boolean } } }>();
    expect(error.data).toMatchObject({ code: 'RATE_LIMITED', retryable: true });
    expect(error.data.retryAfterMs).toBeGreaterThan(18_000);
    expect(refused.headers['retry-after']).toBe('20');
    skipped += error.data.retryAfterMs;
    expect((await batch()).statusCode).toBe(200);
  });
});

describe('the audit log', () => {
  it('has one entry for each mutation of keys and each denied attempt, none for reads', async () => {
    api.admin.entries.length = 0;
    const { data } = await create({ requestId: 'audited' });
    await create({ requestId: 'audited' });
    await api.call('keys.list', { workspace: 'acme' });
    const reader = api.key({ workspace: 'acme', scopes: ['storage:read'] });
    await api.call('resources.apply', { manifest: bucketManifest('denied') }, reader);
    await api.call('keys.revoke', { id: (data as { id: string }).id });
    const told = api.admin.entries.map(({ workspace, entry }) => [workspace, entry.procedure, entry.outcome]);
    expect(told).toEqual([
      ['acme', 'keys.create', 'ok'],
      ['acme', 'resources.apply', 'FORBIDDEN'],
      ['acme', 'keys.revoke', 'ok'],
    ]);
  });

  it.skipIf(pooled)('is written with the row by mutations of rows, naming the same trace as the answer', async () => {
    const { headers } = await api.call('resources.apply', { manifest: bucketManifest('audited') });
    expect(api.tables().audit.at(-1)).toMatchObject({
      procedure: 'resources.apply',
      outcome: 'ok',
      target: 'Bucket/acme/audited',
      traceId: headers['x-request-id'],
      bodyDigest: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect((await api.call('resources.get', bucketRef('audited'))).status).toBe(200);
  });
});
