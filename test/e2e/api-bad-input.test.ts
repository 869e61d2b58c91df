import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bucketManifest, bucketRef, startApi } from './api-support.ts';
import type { TestApi } from './api-support.ts';
import type { WireError } from '#api/errors.ts';

let api: TestApi;
let port: number;
beforeAll(async () => {
  api = await startApi();
  await api.call('resources.apply', { manifest: bucketManifest('there', { spec: { versioning: true } }) });
  await api.server.listen({ host: '127.0.0.1', port: 0 });
  port = (api.server.server.address() as AddressInfo).port;
});
afterAll(() => api.close());

interface Raw {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly error: WireError;
  readonly text: string;
}

/** Any request at all, with the root key. */
async function raw(method: 'GET' | 'POST' | 'PUT', url: string, body?: string, headers: object = {}): Promise<Raw> {
  const response = await api.server.inject({
    method,
    url,
    headers: { authorization: `Bearer ${api.root}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { payload: body }),
  });
  const { error } = response.json<{ error: WireError }>();
  return { status: response.statusCode, headers: response.headers, error, text: response.body };
}

const versionOf = async (): Promise<unknown> =>
  (await api.stores.resources.list('platform', { workspace: 'acme', limit: 1 })).version;

/** The one shape: all members, nothing else, no stack. */
function expectShape(error: WireError): void {
  expect(Object.keys(error).toSorted()).toEqual(['code', 'data', 'message']);
  expect(Object.keys(error.data).toSorted()).toEqual(
    [
      'allowed',
      'code',
      'current',
      'httpStatus',
      'issues',
      'message',
      'path',
      'procedure',
      'remedy',
      'requestId',
      'retryAfterMs',
      'retryable',
    ].toSorted(),
  );
  expect(error.data.requestId).toMatch(/^[0-9a-f]{32}$/);
  expect(JSON.stringify(error)).not.toMatch(/node_modules|\.ts:\d|at async/);
}

const apply = (manifest: unknown, more: object = {}) => ({ manifest, ...more });
const manifest = bucketManifest;

/** Each line: what is wrong, the call, the code, the path named. */
const wrong: readonly (readonly [
  what: string,
  procedure: string,
  input: unknown,
  code: string,
  path: string | null,
])[] = [
  ['an unknown kind', 'resources.apply', apply({ ...manifest(), kind: 'Buckets' }), 'VALIDATION', 'manifest.kind'],
  ['an unknown kind of a read', 'resources.get', { ...bucketRef(), kind: 'Nope' }, 'VALIDATION', 'kind'],
  [
    'an unknown apiVersion',
    'resources.apply',
    apply({ ...manifest(), apiVersion: 'v2' }),
    'VALIDATION',
    'manifest.apiVersion',
  ],
  [
    'an unknown field of the spec',
    'resources.apply',
    apply(manifest('x', { spec: { colour: 'red' } })),
    'VALIDATION',
    'manifest.spec.colour',
  ],
  [
    'an unknown field of the envelope',
    'resources.apply',
    apply({ ...manifest(), specs: {} }),
    'VALIDATION',
    'manifest.specs',
  ],
  ['an unknown field of the input', 'resources.apply', apply(manifest(), { force: true }), 'VALIDATION', 'force'],
  [
    'a wrong type',
    'resources.apply',
    apply(manifest('x', { spec: { versioning: 'yes' } })),
    'VALIDATION',
    'manifest.spec.versioning',
  ],
  [
    'a wrong value',
    'resources.apply',
    apply(manifest('x', { spec: { storageClass: 'ICE' } })),
    'VALIDATION',
    'manifest.spec.storageClass',
  ],
  [
    'a nested wrong value',
    'resources.apply',
    apply(manifest('x', { spec: { lifecycle: [{ deleteAfterDays: 0 }] } })),
    'VALIDATION',
    'manifest.spec.lifecycle[0].deleteAfterDays',
  ],
  ['a bad name', 'resources.apply', apply(manifest('Not-A-Name')), 'VALIDATION', 'manifest.metadata.name'],
  [
    'a name that is too long',
    'resources.apply',
    apply(manifest('a'.repeat(33))),
    'VALIDATION',
    'manifest.metadata.name',
  ],
  [
    'a bad workspace',
    'resources.apply',
    apply(manifest('x', { workspace: 'a-b' })),
    'VALIDATION',
    'manifest.metadata.workspace',
  ],
  [
    'a workspace that does not exist',
    'resources.apply',
    apply(manifest('x', { workspace: 'nowhere' })),
    'VALIDATION',
    'manifest.metadata.workspace',
  ],
  [
    'text that Postgres cannot store',
    'resources.apply',
    apply(manifest('x', { metadata: { annotations: { a: '\u0000' } } })),
    'VALIDATION',
    'manifest.metadata.annotations.a',
  ],
  [
    'a lone surrogate',
    'resources.apply',
    apply(manifest('x', { metadata: { annotations: { a: '\ud800' } } })),
    'VALIDATION',
    'manifest.metadata.annotations.a',
  ],
  [
    'an immutable change',
    'resources.apply',
    apply(manifest('there', { spec: { objectRetention: true } })),
    'VALIDATION',
    'manifest.spec.objectRetention',
  ],
  [
    'a dangling reference',
    'resources.apply',
    apply({ ...manifest('d', { spec: { bucket: 'absent', name: 'a' } }), kind: 'ObjectDeletion' }),
    'VALIDATION',
    'manifest.spec.bucket',
  ],
  ['no manifest', 'resources.apply', {}, 'VALIDATION', 'manifest'],
  ['a manifest that is text', 'resources.apply', apply('Bucket'), 'VALIDATION', 'manifest'],
  ['an input that is a list', 'resources.apply', [1], 'VALIDATION', ''],
  ['an input that is null', 'resources.get', null, 'VALIDATION', ''],
  [
    'a stale generation',
    'resources.apply',
    apply(manifest('there'), { ifGeneration: 7 }),
    'GENERATION_CONFLICT',
    'ifGeneration',
  ],
  [
    'a negative generation',
    'resources.apply',
    apply(manifest('there'), { ifGeneration: -1 }),
    'VALIDATION',
    'ifGeneration',
  ],
  [
    'a plan that is unknown',
    'resources.apply',
    apply(manifest('there'), { planHash: 'abc' }),
    'PLAN_STALE',
    'planHash',
  ],
  ['an empty requestId', 'resources.apply', apply(manifest('there'), { requestId: '' }), 'VALIDATION', 'requestId'],
  [
    'a requestId with a space',
    'resources.apply',
    apply(manifest('there'), { requestId: 'a b' }),
    'VALIDATION',
    'requestId',
  ],
  [
    'a requestId of 65 characters',
    'resources.apply',
    apply(manifest('there'), { requestId: 'a'.repeat(65) }),
    'VALIDATION',
    'requestId',
  ],
  ['a patch of a missing row', 'resources.patch', { ...bucketRef('absent'), patch: {} }, 'NOT_FOUND', null],
  ['the same row twice', 'resources.apply_all', { manifests: [manifest(), manifest()] }, 'VALIDATION', 'manifests[1]'],
  [
    'two workspaces',
    'resources.apply_all',
    { manifests: [manifest(), manifest('x', { workspace: 'beta' })] },
    'VALIDATION',
    'manifests[1].metadata.workspace',
  ],
  ['no manifests', 'resources.apply_all', { manifests: [] }, 'VALIDATION', 'manifests'],
  [
    'too many manifests',
    'resources.apply_all',
    { manifests: Array.from({ length: 201 }, (_, n) => manifest(`b${n}`)) },
    'VALIDATION',
    'manifests',
  ],
  ['too large a page', 'resources.list', { limit: 501 }, 'VALIDATION', 'limit'],
  ['a made-up cursor', 'resources.list', { cursor: 'made-up' }, 'VALIDATION', 'cursor'],
  [
    'a cursor of another call',
    'resources.list',
    { cursor: Buffer.from('["watch","acme",1]').toString('base64url') },
    'VALIDATION',
    'cursor',
  ],
  ['too long a wait', 'resources.wait', { refs: [bucketRef('there')], timeoutMs: 60_001 }, 'VALIDATION', 'timeoutMs'],
  ['a wait for nothing', 'resources.wait', { refs: [] }, 'VALIDATION', 'refs'],
  ['a wait for a missing row', 'resources.wait', { refs: [bucketRef('absent')] }, 'NOT_FOUND', null],
  [
    'a wait with an unknown kind',
    'resources.wait',
    { refs: [bucketRef('there'), { ...bucketRef(), kind: 'X' }] },
    'VALIDATION',
    'refs[1].kind',
  ],
  [
    'a verb with an unknown field',
    'storage.buckets.create',
    { workspace: 'acme', region: 'us' },
    'VALIDATION',
    'region',
  ],
  [
    'too long a link',
    'storage.presign_download',
    { workspace: 'acme', bucket: 'there', key: 'a', ttlSeconds: 901 },
    'VALIDATION',
    'ttlSeconds',
  ],
  ['a key without scopes', 'keys.create', { workspace: 'acme', scopes: [] }, 'VALIDATION', 'scopes'],
  ['a scope off the pattern', 'keys.create', { workspace: 'acme', scopes: ['Storage'] }, 'VALIDATION', 'scopes[0]'],
  [
    'a key that has expired already',
    'keys.create',
    { workspace: 'acme', scopes: ['*'], expires_at: '2020-01-01T00:00:00Z' },
    'VALIDATION',
    'expires_at',
  ],
  ['too fast a replay', 'replays.create', { ratePerSecond: 1_001 }, 'VALIDATION', 'ratePerSecond'],
  ['a replay of an unknown kind', 'replays.create', { selector: { kind: 'X' } }, 'VALIDATION', 'selector.kind'],
  ['an unknown replay', 'replays.get', { id: 'absent' }, 'NOT_FOUND', null],
  ['a thaw of an unknown account', 'providers.thaw', { provider: 'gcs', account: 'absent' }, 'NOT_FOUND', null],
  [
    'a decision about nothing',
    'decisions.resolve',
    { ...bucketRef('there'), effect: 'create:1', outcome: 'happened', evidence: 'x' },
    'NOT_FOUND',
    null,
  ],
  ['an unknown procedure', 'resources.purge', {}, 'NOT_FOUND', null],
];

describe('bad input', () => {
  it.each(wrong)('%s gets one clear error and writes nothing', async (_what, procedure, input, code, path) => {
    const before = await versionOf();
    const { status, error, headers } = await raw('POST', `/trpc/${procedure}`, JSON.stringify(input));
    expectShape(error);
    expect(error.data).toMatchObject({ code, path, httpStatus: status, procedure });
    expect(headers['x-request-id']).toBe(error.data.requestId);
    if (code === 'VALIDATION') expect(error.data.issues.length).toBeGreaterThan(0);
    expect(await versionOf()).toBe(before);
  });

  it('lists all problems, at most 50, and repeats the first at the top', async () => {
    const spec = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`field${index}`, 1]));
    const { error } = await raw('POST', '/trpc/resources.apply', JSON.stringify(apply(manifest('x', { spec }))));
    expect(error.data.issues).toHaveLength(50);
    expect(error.data.path).toBe(error.data.issues[0]?.path);
    expect(error.data.issues[0]).toMatchObject({ allowed: expect.arrayContaining(['versioning']) });
  });
});

const deep = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;
const many = (count: number): string => `{${Array.from({ length: count }, (_, index) => `"k${index}":1`).join(',')}}`;
const inSpec = (spec: string): string =>
  `{"manifest":{"apiVersion":"vibn.dev/v1","kind":"Bucket","metadata":{"workspace":"acme","name":"x"},"spec":${spec}}}`;

describe('hostile JSON', () => {
  it.each([
    ['not JSON', '{'],
    ['an unquoted word', 'hello'],
    ['33 levels', deep(33)],
    ['20,000 levels', '['.repeat(20_000)],
    ['20,000 levels of a spec', inSpec(deep(20_000))],
    ['2,001 keys', many(2_001)],
    ['80,000 keys', many(80_000)],
    [
      '300,000 keys spread over the items of a list',
      `{"manifests":[${Array.from({ length: 60_000 }, () => '{"a":1}').join(',')}]}`,
    ],
    ['300,000 numbers', `{"manifests":[${'1,'.repeat(300_000)}1]}`],
    ['__proto__', '{"__proto__":{"admin":true}}'],
    ['an escaped __proto__', '{"\\u005f_proto__":{"admin":true}}'],
    ['constructor', inSpec('{"constructor":{"prototype":{}}}')],
  ])('%s is refused as VALIDATION within 50 ms', async (_what, body) => {
    const began = performance.now();
    const { status, error } = await raw('POST', '/trpc/resources.apply', body);
    expect(performance.now() - began).toBeLessThan(50);
    expect(status).toBe(400);
    expectShape(error);
    expect(error.data.code).toBe('VALIDATION');
  });

  it('accepts 200 manifests of ordinary size', async () => {
    const manifests = Array.from({ length: 200 }, (_, index) =>
      manifest(`many-${index}`, {
        metadata: { labels: { a: 'b', c: 'd' } },
        spec: { versioning: true, publicRead: false },
      }),
    );
    const { status } = await api.call('resources.apply_all', { manifests });
    expect(status).toBe(200);
  });

  it('refuses a body over 1 MB before it is read', async () => {
    const { status, error } = await raw('POST', '/trpc/resources.apply', inSpec(`{"x":"${'a'.repeat(1_048_576)}"}`));
    expect(status).toBe(413);
    expectShape(error);
    expect(error.data.code).toBe('PAYLOAD_TOO_LARGE');
  });

  it('checks the input of a query by GET just so', async () => {
    const { error } = await raw('GET', `/trpc/resources.get?input=${encodeURIComponent('{"__proto__":1}')}`);
    expect(error.data).toMatchObject({ code: 'VALIDATION', path: '__proto__' });
  });
});

describe('malformed requests', () => {
  it.each([
    ['no such route', 'GET', '/nothing', undefined, 404],
    ['another method', 'PUT', '/trpc/resources.get', '{}', 404],
    ['a mutation by GET', 'GET', '/trpc/resources.apply?input=%7B%7D', undefined, 400],
    ['a batch flag that is not 1', 'POST', '/trpc/resources.get?batch=yes', '{}', 400],
    ['a batch that is a list', 'POST', '/trpc/resources.get,resources.get?batch=1', '[{},{}]', 400],
    ['a batch that is text', 'POST', '/trpc/resources.get?batch=1', '"x"', 400],
    ['a batch with an input for no call', 'POST', '/trpc/resources.get?batch=1', '{"1":{}}', 400],
    ['a batch with an empty name', 'POST', '/trpc/resources.get,,kinds.list?batch=1', '{}', 400],
    ['a batch of 21', 'POST', `/trpc/${Array(21).fill('kinds.list').join(',')}?batch=1`, '{}', 400],
    ['a batch of queries and mutations', 'POST', '/trpc/kinds.list,resources.apply?batch=1', '{"0":{},"1":{}}', 400],
    ['a broken escape in the path', 'GET', '/trpc/%E0%A4%A', undefined, 400],
  ] as const)('%s: one clear error', async (_what, method, url, body, status) => {
    const answer = await raw(method, url, body);
    expect(answer.status).toBe(status);
    expectShape(answer.error);
    expect(answer.headers['x-request-id']).toBe(answer.error.data.requestId);
  });

  it('refuses another content type and says which', async () => {
    const { status, error } = await raw('POST', '/trpc/kinds.list', 'a=1', {
      'content-type': 'application/x-www-form-urlencoded',
    });
    expect(status).toBe(400);
    expect(error.data.allowed).toEqual(['application/json']);
  });

  it('answers each call of a good batch by itself', async () => {
    const response = await api.server.inject({
      method: 'POST',
      url: '/trpc/kinds.list,resources.get?batch=1',
      headers: { authorization: `Bearer ${api.root}`, 'content-type': 'application/json' },
      payload: JSON.stringify({ 0: {}, 1: bucketRef('absent') }),
    });
    const [first, second] = response.json<{ result?: unknown; error?: WireError }[]>();
    expect(first?.result).toBeDefined();
    expect(second?.error?.data).toMatchObject({ code: 'NOT_FOUND', procedure: 'resources.get' });
  });

  it('speaks the same shape to what is not HTTP, or has too large headers', async () => {
    expect(await socketAnswer('nonsense\r\n\r\n')).toContain('"code":"VALIDATION"');
    const large = `GET /healthz HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(70_000)}\r\n\r\n`;
    expect(await socketAnswer(large)).toContain('"code":"PAYLOAD_TOO_LARGE"');
  });

  it('says UNAVAILABLE, and nothing else, when the database does not answer', async () => {
    const { resources } = api.stores;
    const { get } = resources;
    Object.assign(resources, {
      get: () => Promise.reject(Object.assign(new Error('secret host db-1'), { code: 'ECONNREFUSED' })),
    });
    const { status, error } = await api.call('resources.get', bucketRef('there'));
    Object.assign(resources, { get: () => Promise.reject(new Error('secret detail')) });
    const unexpected = await api.call('resources.get', bucketRef('there'));
    Object.assign(resources, { get });
    expect(status).toBe(503);
    expect(error.data).toMatchObject({ code: 'UNAVAILABLE', retryable: true, retryAfterMs: 1_000 });
    expect(unexpected).toMatchObject({ status: 500, error: { data: { code: 'INTERNAL', retryable: false } } });
    expect(JSON.stringify([error, unexpected.error])).not.toContain('secret');
  });
});

describe('probes', () => {
  it('answers healthz and readyz without a key, and readyz truly', async () => {
    expect((await api.server.inject('/healthz')).statusCode).toBe(200);
    expect((await api.server.inject('/readyz')).statusCode).toBe(200);
    api.admin.down = true;
    expect((await api.server.inject('/readyz')).statusCode).toBe(503);
    api.admin.down = false;
  });

  it('shows metrics to platform keys alone', async () => {
    const get = (key: string) => api.server.inject({ url: '/metrics', headers: { authorization: `Bearer ${key}` } });
    expect((await get(api.root)).body).toContain('vibn_requests_total');
    expect((await get(api.key({ workspace: 'acme' }))).statusCode).toBe(403);
    expect((await api.server.inject('/metrics')).statusCode).toBe(401);
  });
});

function socketAnswer(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.on('data', (chunk) => (answer += String(chunk)));
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}
