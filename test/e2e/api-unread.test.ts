import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { connect } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bucketManifest, startApi } from './api-support.ts';
import type { TestApi } from './api-support.ts';

/** Callers who ask and do not read: the answers stay in the memory of the API, which is everyone's. */
let api: TestApi;
const sockets: Socket[] = [];
const lifecycle = Array.from({ length: 58 }, (_, n) => ({ deleteAfterDays: 1, prefix: `${n}`.padEnd(1_000, 'x') }));
beforeEach(async () => {
  api = await startApi({ options: { unreadBytesMax: 8_000_000, silentMs: 2_000 } });
  await api.server.listen({ host: '127.0.0.1', port: 0 });
  for (let n = 0; n < 50; n += 10) {
    const manifests = Array.from({ length: 10 }, (_, m) => bucketManifest(`fat-${n + m}`, { spec: { lifecycle } }));
    await api.call('resources.apply_all', { manifests });
  }
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await api.close();
});

function requestOf(key: string, procedure: string): string {
  const input = encodeURIComponent(JSON.stringify({ workspace: 'acme' }));
  return `GET /trpc/${procedure}?input=${input} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\n\r\n`;
}

async function listening({ server }: TestApi): Promise<number> {
  await server.listen({ host: '127.0.0.1', port: 0 });
  return (server.server.address() as AddressInfo).port;
}

/** Sends this GET ten times and reads nothing: 30 MB, of which the kernel takes some. */
function ask(key: string, procedure: string): Socket {
  const socket = connect((api.server.server.address() as AddressInfo).port, '127.0.0.1');
  socket.pause().on('error', () => undefined);
  socket.write(requestOf(key, procedure).repeat(10));
  sockets.push(socket);
  return socket;
}

it('are refused more when they leave too much unread, by all keys of a workspace; others are served', async () => {
  const [one, two] = [api.key({ workspace: 'acme' }), api.key({ workspace: 'acme' })];
  // As over a pool: a list at a time, and each takes its time.
  const list = api.stores.resources.list.bind(api.stores.resources);
  let last: Promise<unknown> = Promise.resolve();
  api.stores.resources.list = (scope, query) => {
    const next = last.then(() => setTimeout(5)).then(() => list(scope, query));
    last = next;
    return next;
  };
  const refused = async (): Promise<boolean> => (await api.call('resources.list', { limit: 1 }, two)).status === 429;
  for (let asked = 0; asked < 3; asked += 1) ask(one, 'resources.list');
  await expect.poll(refused, { interval: 5, timeout: 5_000 }).toBe(true);
  expect((await api.call('resources.list', {}, api.key({ workspace: 'beta' }))).status).toBe(200);
  // Those that were admitted before are not kept either.
  const answer = await api.call('resources.list', { limit: 1 }, one);
  expect(answer.error.data).toMatchObject({ code: 'RATE_LIMITED', allowed: { max: 8_000_000 }, retryAfterMs: 1_000 });
  expect(answer.error.data.current).toBeLessThan(8_000_000 + 2 * 3_500_000);
});

/** Writes of acme that are carried out when they are let. */
function gated(of: TestApi): () => void {
  const gate = Promise.withResolvers<void>();
  const { resources } = of.stores;
  const mutate = resources.mutate.bind(resources);
  resources.mutate = async (input) => {
    if (input.workspace === 'acme') await gate.promise;
    return await mutate(input);
  };
  return gate.resolve;
}

const statusesOf = async (calls: readonly Promise<{ readonly status: number }>[]): Promise<number[]> =>
  (await Promise.all(calls)).map((one) => one.status);

it('are refused more while too much of what they sent waits to be carried out; others are served', async () => {
  const letGo = gated(api);
  const key = api.key({ workspace: 'acme' });
  // Some 600 KB each.
  const manifests = Array.from({ length: 10 }, (_, n) => bucketManifest(`b-${n}`, { spec: { lifecycle } }));
  const statuses = statusesOf(Array.from({ length: 20 }, () => api.call('resources.apply_all', { manifests }, key)));
  await expect.poll(async () => (await api.call('resources.list', { limit: 1 }, key)).status).toBe(429);
  expect((await api.call('resources.list', {}, api.key({ workspace: 'beta' }))).status).toBe(200);
  letGo();
  expect((await statuses).filter((status) => status === 429).length).toBeGreaterThanOrEqual(5);
  expect((await api.call('resources.list', { limit: 1 }, key)).status).toBe(200);
});

it('are refused more while too many of their calls are under way', async () => {
  const own = await startApi({ options: { callsPerTenantMax: 3 } });
  try {
    const letGo = gated(own);
    const [key, theirs] = [own.key({ workspace: 'acme' }), own.key({ workspace: 'beta' })];
    const statuses = statusesOf(
      Array.from({ length: 5 }, (_, n) => own.call('resources.apply', { manifest: bucketManifest(`c-${n}`) }, key)),
    );
    await expect.poll(async () => (await own.call('kinds.list', {}, key)).status).toBe(429);
    expect((await own.call('kinds.list', {}, theirs)).status).toBe(200);
    letGo();
    expect((await statuses).filter((status) => status === 429)).toHaveLength(2);
    expect((await own.call('kinds.list', {}, key)).status).toBe(200);
  } finally {
    await own.close();
  }
});

it.each(['resources.list', 'resources.watch'])(
  'are not counted for a %s whose caller left while its key was looked for',
  async (what) => {
    const own = await startApi({ options: { callsPerTenantMax: 3, watchesPerTenantMax: 3 } });
    try {
      const port = await listening(own);
      const gate = Promise.withResolvers<void>();
      const findKey = own.admin.findKey.bind(own.admin);
      own.admin.findKey = (id) => gate.promise.then(() => findKey(id));
      const key = own.key({ workspace: 'acme' });
      for (let n = 0; n < 5; n += 1) {
        const came = once(own.server.server, 'request');
        const socket = connect(port, '127.0.0.1').on('error', () => undefined);
        socket.write(requestOf(key, what));
        const [, answer] = (await came) as [IncomingMessage, ServerResponse];
        const gone = once(answer, 'close');
        socket.destroy();
        await gone;
      }
      gate.resolve();
      const watch = connect(port, '127.0.0.1');
      sockets.push(watch);
      watch.write(requestOf(key, 'resources.watch'));
      const [head] = (await once(watch, 'data')) as [Buffer];
      expect(head.toString()).toMatch('HTTP/1.1 200');
      expect((await own.call('resources.list', { limit: 1 }, key)).status).toBe(200);
    } finally {
      await own.close();
    }
  },
);

it.each(['resources.list', 'resources.watch'])('lose the connection on which their %s has not moved', async (what) => {
  const gone = Promise.withResolvers<void>();
  api.server.server.once('connection', (socket: Socket) => socket.once('close', () => gone.resolve()));
  ask(api.key({ workspace: 'acme' }), what);
  await gone.promise;
  expect((await api.call('resources.list', { limit: 1 }, api.key({ workspace: 'acme' }))).status).toBe(200);
});
