import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { ResourceKey } from '#resources/resource.ts';
import type { WaitAnswer } from '#api/waits/parked.ts';
import { pooled } from '#test/support/pooler/pooled.ts';
import { bucketManifest, bucketRef, settle, startApi } from './api-support.ts';
import type { Answered, TestApi, TestApiInput } from './api-support.ts';

/**
 * Waits as requests over loopback: many at once, in batches, with lost signals, by callers who leave, beside other tenants.
 * VIBN_TEST_PARKED sets how many are parked at once (2,000).
 */
const parkedMany = Number(process.env['VIBN_TEST_PARKED'] ?? 2_000);

let api: TestApi;
let url: string;
afterEach(() => api.close());

async function start(options: TestApiInput['options'] = {}): Promise<void> {
  api = await startApi({ options: { waitsMax: 100_000, waitsPerTenantMax: 100_000, ...options } });
  await api.server.listen({ host: '127.0.0.1', port: 0 });
  url = `http://127.0.0.1:${(api.server.server.address() as AddressInfo).port}`;
}

async function declare(name: string, workspace = 'acme'): Promise<ResourceKey> {
  const { status } = await api.call('resources.apply', { manifest: bucketManifest(name, { workspace }) });
  expect(status).toBe(200);
  return bucketRef(name, workspace);
}

const send = (path: string, input: unknown, more: { key?: string; signal?: AbortSignal; headers?: object } = {}) =>
  fetch(`${url}/trpc/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${more.key ?? api.root}`, 'content-type': 'application/json', ...more.headers },
    body: JSON.stringify(input),
    ...(more.signal === undefined ? {} : { signal: more.signal }),
  });

async function wait(ref: ResourceKey, more: { timeoutMs?: number; until?: string } = {}): Promise<WaitAnswer> {
  const response = await send('resources.wait', { refs: [ref], timeoutMs: 30_000, ...more });
  expect(response.status).toBe(200);
  return ((await response.json()) as { result: { data: WaitAnswer } }).result.data;
}

/** Resolves when all places for waits are taken. */
async function full(key?: string): Promise<void> {
  const input = { refs: [bucketRef('none')], timeoutMs: 0 };
  await until(async () => (await send('resources.wait', input, key === undefined ? {} : { key })).status === 429);
}

/** Resolves when the first look after the next wait has parked is over. */
async function parked(begin: () => void): Promise<void> {
  const { resources } = api.stores;
  const looked = Promise.withResolvers<void>();
  const bareByUid = resources.bareByUid.bind(resources);
  const spied: typeof bareByUid = async (...args) => {
    const found = await bareByUid(...args);
    looked.resolve();
    return found;
  };
  Object.assign(resources, { bareByUid: spied });
  begin();
  await looked.promise;
  Object.assign(resources, { bareByUid });
}

async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve));
}

const stalled = [
  { type: 'Ready', status: 'False', reason: 'NameTaken', message: 'The name is taken.' },
  { type: 'Stalled', status: 'True', reason: 'NameTaken', message: 'The name is taken.' },
] as const;

describe('many waits at once', () => {
  it(`are ${parkedMany}, each answered once with what became of its own row, and counted like any request`, async () => {
    await start({ waitsPerTenantMax: parkedMany });
    const rows = await Promise.all(
      Array.from({ length: 40 }, (_, n) => declare(`row-${n}`, n % 2 === 0 ? 'acme' : 'beta')),
    );
    const of = (n: number): ResourceKey => rows[n % rows.length] ?? bucketRef('none');
    const answers = Array.from({ length: parkedMany }, (_, n) => wait(of(n)));
    await full();
    for (const [n, row] of rows.entries()) await settle(api, row, n % 4 < 2 ? undefined : stalled);
    const found = await Promise.all(answers);
    const said = found.map(
      ({ outcome, results: [result] }) => `${outcome} ${result?.ref.workspace}/${result?.ref.name}`,
    );
    const due = found.map(
      (_, n) => `${(n % rows.length) % 4 < 2 ? 'met' : 'stalled'} ${of(n).workspace}/${of(n).name}`,
    );
    expect(said).toEqual(due);
    const figures = await (await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${api.root}` } })).text();
    expect(figures).toMatch(new RegExp(`procedure="resources.wait",code="200"\\} ${parkedMany}\\n`));
  });

  it('are refused beyond the places of a workspace, and a caller who leaves frees its place without any look', async () => {
    await start({ waitsPerTenantMax: 2, feedPollMs: 10_000 });
    const row = await declare('row');
    const key = api.key({ workspace: 'acme' });
    const input = { refs: [row], timeoutMs: 60_000 };
    const leaving = new AbortController();
    const open = Array.from({ length: 2 }, () =>
      send('resources.wait', input, { key, signal: leaving.signal }).catch(() => null),
    );
    await full(key);
    leaving.abort();
    expect(await Promise.all(open)).toEqual([null, null]);
    await until(async () => (await send('resources.wait', { ...input, timeoutMs: 0 }, { key })).status === 200);
  });

  it('hear within the poll interval of what no signal told', async () => {
    await start({ feedPollMs: 200 });
    const row = await declare('untold');
    const waiting = Promise.withResolvers<WaitAnswer>();
    await parked(() => waiting.resolve(wait(row)));
    Object.assign(api.signals, { signal: () => undefined });
    await settle(api, row);
    expect((await waiting.promise).outcome).toBe('met');
  });
});

describe('a batch of waits', () => {
  const batch = async (inputs: readonly object[], headers: object = {}): Promise<Response> => {
    const path = `${inputs.map(() => 'resources.wait').join(',')}?batch=1`;
    return send(path, Object.fromEntries(inputs.entries()), { headers });
  };
  const found = async (response: Response): Promise<readonly string[]> => {
    const parts = (await response.json()) as { result?: { data: WaitAnswer }; error?: Answered['error'] }[];
    return parts.map(({ result, error }) => result?.data.outcome ?? `${error?.data.code} ${error?.data.procedure}`);
  };

  it('answers each of its calls in its place, one that fails too, when all are decided', async () => {
    await start();
    const [first, second] = [await declare('first'), await declare('second')];
    const answer = batch([
      { refs: [first] },
      { refs: [bucketRef('none')] },
      { refs: [second], timeoutMs: 50 },
      { refs: [] },
    ]);
    await settle(api, first);
    const response = await answer;
    expect([response.status, response.headers.get('content-type')]).toEqual([207, 'application/json']);
    expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f]{32}$/);
    const none = 'NOT_FOUND resources.wait';
    expect(await found(response)).toEqual(['met', none, 'timeout', 'VALIDATION resources.wait']);
  });

  it('has the status of its calls if they have one', async () => {
    await start();
    expect((await batch([{ refs: [bucketRef('none')] }, { refs: [bucketRef('none')] }])).status).toBe(404);
    const row = await declare('row');
    expect((await batch([{ refs: [row], timeoutMs: 0 }])).status).toBe(200);
  });

  it('is answered line by line to who asks for lines', async () => {
    await start();
    const row = await declare('row');
    const answer = batch([{ refs: [row] }, { refs: [row], until: 'Created', timeoutMs: 0 }], {
      'trpc-accept': 'application/jsonl',
    });
    await settle(api, row);
    const lines = await (await answer).text();
    expect(lines).toContain('"outcome":"met"');
    expect(lines).toContain('"outcome":"timeout"');
  });
});

describe('what a lone wait answers', () => {
  it('has the headers and the shape of any other answer, success or error', async () => {
    await start();
    const row = await declare('row');
    const [ours, other] = [
      await send('resources.wait', { refs: [row], timeoutMs: 0 }),
      await send('resources.get', row),
    ];
    const names = (response: Response): string[] =>
      [...response.headers.keys()].filter((name) => name !== 'transfer-encoding' && name !== 'content-length');
    expect(names(ours)).toEqual(names(other));
    expect(Object.keys((await ours.json()) as object)).toEqual(['result']);
    const bad = await send('resources.wait', { refs: [bucketRef('none')] });
    const badGet = await send('resources.get', bucketRef('none'));
    expect([bad.status, names(bad)]).toEqual([badGet.status, names(badGet)]);
    const data = async (response: Response): Promise<object> => {
      const { error } = (await response.json()) as { error: Answered['error'] };
      expect(error.data.requestId).toBe(response.headers.get('x-request-id'));
      const { requestId: _id, procedure: _of, ...rest } = error.data;
      return { ...error, data: rest };
    };
    expect(await data(bad)).toEqual(await data(badGet));
    expect((await send('resources.wait', { refs: [row], until: 7 })).status).toBe(400);
    const byGet = await fetch(
      `${url}/trpc/resources.wait?input=${encodeURIComponent(JSON.stringify({ refs: [row], timeoutMs: 0 }))}`,
      {
        headers: { authorization: `Bearer ${api.root}` },
      },
    );
    expect(byGet.status).toBe(200);
  });

  it('is an error like any other when the database fails while it is parked', async () => {
    await start({ feedPollMs: 100 });
    const row = await declare('row');
    const waiting = Promise.withResolvers<Response>();
    await parked(() => waiting.resolve(send('resources.wait', { refs: [row] })));
    const failure = Object.assign(new Error('down'), { code: 'ECONNREFUSED' });
    Object.assign(api.stores.resources, { changes: () => Promise.reject(failure) });
    const response = await waiting.promise;
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await response.json()).toMatchObject({
      error: { data: { code: 'UNAVAILABLE', procedure: 'resources.wait' } },
    });
  });

  it('comes at once when the server stops', async () => {
    await start();
    const row = await declare('row');
    const waiting = Promise.withResolvers<WaitAnswer>();
    await parked(() => waiting.resolve(wait(row)));
    await api.server.close();
    expect((await waiting.promise).outcome).toBe('timeout');
  });
});

describe.skipIf(pooled)('waits beside other tenants', () => {
  it('read at most four at a time, one of a workspace, so that the calls of others pass by', async () => {
    await start({ feedPollMs: 100 });
    const open: string[] = [];
    const begun: string[] = [];
    const gates: (() => void)[] = [];
    const { resources } = api.stores;
    const rows = await Promise.all(Array.from({ length: 50 }, (_, n) => declare(`row-${n}`)));
    const theirs = await declare('theirs', 'beta');
    const most = { all: 0, acme: 0 };
    const gated =
      <A extends [unknown, ...unknown[]], R>(read: (...args: A) => Promise<R>, workspaceOf: (args: A) => string) =>
      async (...args: A): Promise<R> => {
        const workspace = workspaceOf(args);
        open.push(workspace);
        begun.push(workspace);
        most.all = Math.max(most.all, open.length);
        most.acme = Math.max(most.acme, open.filter((one) => one === 'acme').length);
        await new Promise<void>((resolve) => gates.push(resolve));
        open.splice(open.indexOf(workspace), 1);
        return await read(...args);
      };
    Object.assign(resources, {
      changes: gated(resources.changes.bind(resources), ([, query]) => query.workspace),
      bareByKeys: gated(resources.bareByKeys.bind(resources), ([, workspace]) => workspace),
      bareByUid: gated(resources.bareByUid.bind(resources), ([, workspace]) => workspace),
    });
    const mine = Array.from({ length: 200 }, (_, n) => wait(rows[n % 50] ?? theirs));
    await until(() => begun.includes('acme'));
    const other = wait(theirs);
    // Nothing of acme's has gone on since: beta's read does not stand behind its 200 waits.
    await until(() => begun.includes('beta'));
    expect(begun).toEqual(['acme', 'beta']);
    expect((await api.call('resources.get', theirs)).status).toBe(200);
    expect(
      (await api.call('resources.apply', { manifest: bucketManifest('more', { workspace: 'beta' }) })).status,
    ).toBe(200);
    const letGo = setInterval(() => gates.splice(0).forEach((open_) => open_()), 1);
    for (const row of [...rows, theirs]) await settle(api, row);
    expect(new Set((await Promise.all([...mine, other])).map((one) => one.outcome))).toEqual(new Set(['met']));
    clearInterval(letGo);
    expect(most.acme).toBe(1);
    expect(most.all).toBeLessThanOrEqual(4);
  });
});
