import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bucketManifest, bucketRef, startApi } from './api-support.ts';
import type { TestApi } from './api-support.ts';
import { apply, badInputs } from './api-bad-inputs.ts';
import type { WireError } from '#api/errors.ts';
import { expectShape } from './api-shape.ts';

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
async function raw(line: `${'GET' | 'POST' | 'PUT'} ${string}`, body?: string, headers: object = {}): Promise<Raw> {
  const [method, url] = line.split(' ') as ['GET', string];
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

const manifest = bucketManifest;

describe('bad input', () => {
  it.each(badInputs)('$what gets one clear error and writes nothing', async ({ procedure, input, code, path }) => {
    const before = await versionOf();
    const { status, error, headers } = await raw(`POST /trpc/${procedure}`, JSON.stringify(input));
    expectShape(error);
    expect(error.data).toMatchObject({ code, path, httpStatus: status, procedure });
    expect(headers['x-request-id']).toBe(error.data.requestId);
    if (code === 'VALIDATION') expect(error.data.issues.length).toBeGreaterThan(0);
    expect(await versionOf()).toBe(before);
  });

  it.each([
    ['resources.apply', { manifest: {}, force: true }, 'force', ['manifest', 'requestId', 'ifGeneration', 'planHash']],
    [
      'resources.wait',
      { refs: [{ ...bucketRef('there'), gen: 1 }] },
      'refs[0].gen',
      ['workspace', 'kind', 'name', 'generation'],
    ],
    ['resources.list', { condition: { type: 'Ready', state: 'x' } }, 'condition.state', ['type', 'status', 'reason']],
    [
      'replays.create',
      { selector: { names: ['a'], group: 'x' } },
      'selector.group',
      ['workspace', 'kind', 'labels', 'condition', 'names'],
    ],
    [
      'storage.buckets.create',
      { workspace: 'acme', cors: [{ origins: [] }] },
      'cors[0].origins',
      ['origin', 'method', 'responseHeader', 'maxAgeSeconds'],
    ],
  ])('%s names the fields there are, where one is not known, however deep', async (...line) => {
    const [procedure, input, path, fields] = line;
    const { error } = await raw(`POST /trpc/${procedure}`, JSON.stringify(input));
    const issue = error.data.issues.find((one) => one.path === path);
    expect(issue?.allowed).toEqual(fields);
  });

  it('lists all problems, at most 50, and repeats the first at the top', async () => {
    const spec = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`field${index}`, 1]));
    const { error } = await raw('POST /trpc/resources.apply', JSON.stringify(apply(manifest('x', { spec }))));
    expect(error.data.issues).toHaveLength(50);
    expect(error.data.path).toBe(error.data.issues[0]?.path);
    expect(error.data.issues[0]).toMatchObject({ allowed: expect.arrayContaining(['versioning']) });
  });
});

describe('malformed requests', () => {
  it.each([
    { what: 'no such route', line: 'GET /nothing', body: undefined, status: 404 },
    { what: 'another method', line: 'PUT /trpc/resources.get', body: '{}', status: 404 },
    { what: 'a mutation by GET', line: 'GET /trpc/resources.apply?input=%7B%7D', body: undefined, status: 400 },
    { what: 'a batch flag that is not 1', line: 'POST /trpc/resources.get?batch=yes', body: '{}', status: 400 },
    {
      what: 'a batch that is a list',
      line: 'POST /trpc/resources.get,resources.get?batch=1',
      body: '[{},{}]',
      status: 400,
    },
    { what: 'a batch that is text', line: 'POST /trpc/resources.get?batch=1', body: '"x"', status: 400 },
    {
      what: 'a batch with an input for no call',
      line: 'POST /trpc/resources.get?batch=1',
      body: '{"1":{}}',
      status: 400,
    },
    {
      what: 'a batch with an empty name',
      line: 'POST /trpc/resources.get,,kinds.list?batch=1',
      body: '{}',
      status: 400,
    },
    {
      what: 'a batch of 21',
      line: `POST /trpc/${Array(21).fill('kinds.list').join(',')}?batch=1`,
      body: '{}',
      status: 400,
    },
    {
      what: 'a batch of queries and mutations',
      line: 'POST /trpc/kinds.list,resources.apply?batch=1',
      body: '{"0":{},"1":{}}',
      status: 400,
    },
    { what: 'a broken escape in the path', line: 'GET /trpc/%E0%A4%A', body: undefined, status: 400 },
  ] as const)('$what: one clear error', async ({ line, body, status }) => {
    const answer = await raw(line, body);
    expect(answer.status).toBe(status);
    expectShape(answer.error);
    expect(answer.headers['x-request-id']).toBe(answer.error.data.requestId);
  });

  it('refuses another content type and says which', async () => {
    const { status, error } = await raw('POST /trpc/kinds.list', 'a=1', {
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
    const get = resources.get.bind(resources);
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
