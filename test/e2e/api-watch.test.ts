import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '#api/client.ts';
import type { VibnClient, WatchItem, WatchWish } from '#api/client.ts';
import type { ResourceKey } from '#resources/resource.ts';
import { shardOf } from '#resources/shard.ts';
import { pooled } from '#test/support/pooler/pooled.ts';
import { bucketManifest, bucketRef, settle, startApi } from './api-support.ts';
import type { TestApi } from './api-support.ts';

let api: TestApi;
let url: string;
let client: VibnClient;
beforeAll(async () => {
  api = await startApi({ options: { bookmarkEveryMs: 100, feedPollMs: 500, keyRecheckMs: 200, keyCacheMs: 100 } });
  await api.server.listen({ host: '127.0.0.1', port: 0 });
  url = `http://127.0.0.1:${(api.server.server.address() as AddressInfo).port}`;
  client = createClient({ url, apiKey: api.root });
});
afterAll(() => api.close());

const declare = (name: string, more: { spec?: object; metadata?: object } = {}) =>
  api.call('resources.apply', { manifest: bucketManifest(name, more) });
/** One line for an event: what it says of which row. */
const line = (item: WatchItem): string =>
  item.type === 'CHANGED'
    ? `CHANGED ${item.resource.metadata.name}@${item.resource.metadata.generation}`
    : item.type === 'BOOKMARK'
      ? 'BOOKMARK'
      : `${item.type} ${item.ref.name}`;

/** Reads a watch: `next` skips bookmarks. */
function reader(wish: WatchWish) {
  const stop = new AbortController();
  const items = client.watch(wish, { signal: stop.signal });
  const next = async (): Promise<WatchItem> => {
    for (;;) {
      const { value, done } = await items.next();
      if (done === true || value === undefined) throw new Error('the watch ended');
      if (value.type !== 'BOOKMARK') return value;
    }
  };
  return { items, next, stop: () => stop.abort() };
}

describe('watching', () => {
  it('begins with the present selection, then tells each change', async () => {
    await declare('seen');
    const watch = reader({ workspace: 'acme', kind: 'Bucket' });
    expect(line(await watch.next())).toBe('CHANGED seen@1');
    await declare('seen', { spec: { versioning: true } });
    expect(line(await watch.next())).toBe('CHANGED seen@2');
    await settle(api, bucketRef('seen'));
    const settled = await watch.next();
    expect(settled).toMatchObject({ type: 'CHANGED', resource: { status: { observedGeneration: 2 } } });
    watch.stop();
  });

  it('goes on from the watchCursor of a list, without what the list had', async () => {
    const list = await client.resources.list({ workspace: 'acme' });
    const watch = reader({ workspace: 'acme', kind: 'Bucket', cursor: list.watchCursor ?? '' });
    await declare('after-list');
    expect(line(await watch.next())).toBe('CHANGED after-list@1');
    watch.stop();
  });

  it('goes on after the event whose id it is given', async () => {
    const list = await client.resources.list({ workspace: 'acme' });
    await declare('one');
    await declare('two');
    const first = reader({ workspace: 'acme', cursor: list.watchCursor ?? '' });
    const { id } = await first.next();
    first.stop();
    const second = reader({ workspace: 'acme', cursor: id });
    expect(line(await second.next())).toBe('CHANGED two@1');
    second.stop();
  });

  it('goes on in the middle of the present selection after a broken connection', async () => {
    const all: string[] = [];
    const first = reader({ workspace: 'acme', kind: 'Bucket' });
    const half = await first.next();
    all.push(line(half));
    first.stop();
    const second = reader({ workspace: 'acme', kind: 'Bucket', cursor: half.id });
    const { items } = await client.resources.list({ workspace: 'acme', kind: 'Bucket' });
    while (all.length < items.length) all.push(line(await second.next()));
    second.stop();
    expect(all).toEqual(items.map((one) => `CHANGED ${one.metadata.name}@${one.metadata.generation}`));
  });

  it.skipIf(pooled)(
    'tells LEFT for a changed row that fails the labels, and REMOVED for one that is gone',
    async () => {
      await declare('labelled', { metadata: { labels: { team: 'web' } } });
      const watch = reader({ workspace: 'acme', labels: { team: 'web' } });
      expect(line(await watch.next())).toBe('CHANGED labelled@1');
      await declare('labelled', { metadata: { labels: { team: 'ops' } } });
      expect(line(await watch.next())).toBe('LEFT labelled');
      bury(bucketRef('labelled'));
      expect(line(await watch.next())).toBe('REMOVED labelled');
      watch.stop();
    },
  );

  it('sends bookmarks whose id is a place to go on from', async () => {
    const list = await client.resources.list({ workspace: 'acme' });
    const watch = reader({ workspace: 'acme', cursor: list.watchCursor ?? '' });
    const { value } = await watch.items.next();
    expect(value).toMatchObject({ type: 'BOOKMARK', id: list.watchCursor });
    watch.stop();
  });

  it('finds what no signal told within the poll interval', async () => {
    const list = await client.resources.list({ workspace: 'acme' });
    const watch = reader({ workspace: 'acme', cursor: list.watchCursor ?? '' });
    await watch.items.next();
    const quiet = api.signals.signal.bind(api.signals);
    Object.assign(api.signals, { signal: () => undefined });
    await declare('untold');
    Object.assign(api.signals, { signal: quiet });
    expect(line(await watch.next())).toBe('CHANGED untold@1');
    watch.stop();
  });

  it.skipIf(pooled)('answers CURSOR_EXPIRED below what was trimmed, and beyond what there is', async () => {
    const tables = api.tables().shards.get(shardOf('acme'));
    if (tables === undefined) throw new Error('no shard');
    const cursorAt = (version: number): string =>
      Buffer.from(JSON.stringify(['watch', 'acme', version])).toString('base64url');
    const before = tables.trimmedThrough;
    tables.trimmedThrough = 3;
    for (const version of [2, tables.version + 1]) {
      const watch = reader({ workspace: 'acme', cursor: cursorAt(version) });
      await expect(watch.next()).rejects.toMatchObject({ data: { code: 'CURSOR_EXPIRED', httpStatus: 412 } });
    }
    tables.trimmedThrough = before;
  });

  it('is plain server-sent events to curl, with the cursor as id, resumed by Last-Event-ID', async () => {
    const list = await client.resources.list({ workspace: 'acme' });
    const headers = { authorization: `Bearer ${api.root}`, 'last-event-id': list.watchCursor ?? '' };
    const stop = new AbortController();
    const input = encodeURIComponent(JSON.stringify({ workspace: 'acme' }));
    const response = await fetch(`${url}/trpc/resources.watch?input=${input}`, { headers, signal: stop.signal });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f]{32}$/);
    await declare('curled');
    let text = '';
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString();
      if (text.includes('curled')) break;
    }
    stop.abort();
    expect(text).toMatch(/data: \{"type":"CHANGED","resource":\{.*"name":"curled".*\nid: [\w-]+\n/);
  });

  it('refuses a wrong key before the stream begins', async () => {
    const response = await fetch(`${url}/trpc/resources.watch?input=%7B%22workspace%22%3A%22acme%22%7D`);
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ error: { data: { code: 'UNAUTHENTICATED' } } });
  });

  it('is closed within 5 s after its key is revoked', async () => {
    const apiKey = api.key({ workspace: 'acme' });
    const { id } = [...api.admin.keys.values()].at(-1) ?? { id: '' };
    const items = createClient({ url, apiKey }).watch({ workspace: 'acme' });
    await items.next();
    const began = performance.now();
    await api.admin.revokeKey(null, id);
    const drained = (async () => {
      for await (const item of items) expect(item.type).toBeDefined();
    })();
    await expect(drained).rejects.toMatchObject({ data: { code: 'UNAUTHENTICATED' } });
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  it('ends when the reader leaves, and frees its place', async () => {
    const limited = await startApi({ options: { watchesPerKeyMax: 1, feedPollMs: 50 } });
    await limited.server.listen({ host: '127.0.0.1', port: 0 });
    const at = `http://127.0.0.1:${(limited.server.server.address() as AddressInfo).port}`;
    const one = createClient({ url: at, apiKey: limited.root });
    const first = one.watch({ workspace: 'acme' });
    await first.next();
    const refused = one.watch({ workspace: 'acme' });
    await expect(refused.next()).rejects.toMatchObject({ data: { code: 'RATE_LIMITED' } });
    await first.return();
    for (;;) {
      const again = one.watch({ workspace: 'acme' });
      const item = await again.next().catch(() => null);
      await again.return();
      if (item !== null) break;
    }
    await limited.close();
  });

  it('misses nothing and doubles nothing while many write', async () => {
    const list = await client.resources.list({ workspace: 'beta' });
    const watch = reader({ workspace: 'beta', cursor: list.watchCursor ?? '' });
    const names = Array.from({ length: 300 }, (_, index) => `w${index}`);
    const writing = Promise.all(
      names.map((name) => api.call('resources.apply', { manifest: bucketManifest(name, { workspace: 'beta' }) })),
    );
    const seen: string[] = [];
    while (seen.length < names.length) seen.push(line(await watch.next()));
    await writing;
    watch.stop();
    expect(seen.toSorted()).toEqual(names.map((name) => `CHANGED ${name}@1`).toSorted());
  });
});

describe('the typed client', () => {
  it('calls by camelCase, waits until Ready, and throws what the API answered', async () => {
    const made = await client.resources.applyAll({ manifests: [bucketManifest('typed')] });
    expect(made[0]).toMatchObject({ kind: 'Bucket' });
    await settle(api, bucketRef('typed'));
    expect((await client.waitReady([bucketRef('typed')])).outcome).toBe('met');
    expect(await client.call('storage.buckets.list', { workspace: 'beta', limit: 1 })).toHaveProperty('items');
    await expect(client.resources.get(bucketRef('absent'))).rejects.toMatchObject({ data: { code: 'NOT_FOUND' } });
  });
});

/** The row goes, leaving a tombstone, as after the controller's last pass. */
function bury(key: ResourceKey): void {
  const tables = api.tables().shards.get(shardOf(key.workspace));
  const row = [...(tables?.rows.values() ?? [])].find((one) => one.name === key.name && one.kind === key.kind);
  if (tables === undefined || row === undefined) throw new Error('no row');
  tables.version += 1;
  tables.rows.delete(row.uid);
  tables.byKey.delete(`${key.kind}/${key.workspace}/${key.name}`);
  tables.tombstones.push({ version: tables.version, key, uid: row.uid, labels: row.labels, at: Date.now() });
  api.signals.signal([tables.shard]);
}
