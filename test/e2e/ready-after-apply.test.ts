import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from '#api/client.ts';
import type { VibnClient } from '#api/client.ts';
import type { Resource } from '#resources/resource.ts';
import { bucketManifest, bucketRef, settle, startApi } from './api-support.ts';
import type { TestApi } from './api-support.ts';

// Ready after apply (reliability.md): between a write and the first pass nobody is shown Ready=True of the new generation, whichever door
// is asked, and whatever the write was.

let api: TestApi;
let client: VibnClient;
beforeAll(async () => {
  api = await startApi({ options: { feedPollMs: 200 } });
  await api.server.listen({ host: '127.0.0.1', port: 0 });
  const { port } = api.server.server.address() as AddressInfo;
  client = createClient({ url: `http://127.0.0.1:${port}`, apiKey: api.root });
});
afterAll(() => api.close());

type Shown = Pick<Resource, 'metadata' | 'status'>;
const said = ({ metadata, status }: Shown): string => {
  const ready = status.conditions.find((one) => one.type === 'Ready');
  return `${String(metadata.generation)} ${ready?.status ?? '-'}/${ready?.reason ?? '-'}`;
};
const call = async (procedure: string, input: object): Promise<Shown> => {
  const { status, data } = await api.call(procedure, input);
  expect(status).toBe(200);
  return data;
};

/** What each write that moves the generation answers, from a row that is Ready. */
const writes: Record<string, (name: string) => Promise<Shown>> = {
  apply: (name) => call('resources.apply', { manifest: bucketManifest(name, { spec: { versioning: true } }) }),
  patch: (name) => call('resources.patch', { ...bucketRef(name), patch: { versioning: true } }),
  async apply_all(name) {
    const manifests = [bucketManifest(name, { spec: { versioning: true } })];
    const { data } = await api.call('resources.apply_all', { manifests });
    const [first] = Array.isArray(data) ? (data as Shown[]) : (data as { items: Shown[] }).items;
    if (first === undefined) throw new Error('nothing was answered');
    return first;
  },
  delete: (name) => call('resources.delete', { ...bucketRef(name), confirm: name }),
};

/** How each door shows the row now. */
const doors: Record<string, (name: string, cursor: string) => Promise<Shown>> = {
  get: (name) => call('resources.get', bucketRef(name)),
  async list(name) {
    const { data } = await api.call('resources.list', { workspace: 'acme', kind: 'Bucket' });
    const found = (data as { items: Shown[] }).items.find((one) => one.metadata.name === name);
    if (found === undefined) throw new Error('it is not listed');
    return found;
  },
  async watch(name, cursor) {
    const stop = new AbortController();
    for await (const item of client.watch({ workspace: 'acme', kind: 'Bucket', cursor }, { signal: stop.signal })) {
      if (item.type !== 'CHANGED' || item.resource.metadata.name !== name) continue;
      stop.abort();
      return item.resource;
    }
    throw new Error('the watch ended');
  },
};

describe.for(Object.keys(writes))('after %s, before the first pass', (write) => {
  it('no door shows Ready=True for the new generation, and after it each does, or the row is gone', async () => {
    const name = `after-${write.replace('_', '-')}`;
    await api.call('resources.apply', { manifest: bucketManifest(name) });
    await settle(api, bucketRef(name));
    const { data: before } = await api.call('resources.list', { workspace: 'acme' });
    const { watchCursor: cursor } = before as { watchCursor: string };
    const listed = async (): Promise<readonly string[]> => {
      const { data } = await api.call('resources.list', {
        workspace: 'acme',
        condition: { type: 'Ready', status: 'True' },
      });
      return (data as { items: Shown[] }).items.map((one) => one.metadata.name);
    };
    expect(await listed()).toContain(name);

    expect(said((await writes[write]?.(name)) ?? fail())).toBe('2 Unknown/NotYetReconciled');
    for (const door of Object.values(doors)) expect(said(await door(name, cursor))).toBe('2 Unknown/NotYetReconciled');
    expect(await listed()).not.toContain(name);
    const { data: waited } = await api.call('resources.wait', { refs: [bucketRef(name)], timeoutMs: 1 });
    expect(waited).toMatchObject({ outcome: 'timeout', results: [{ generation: 2, met: false }] });

    await settle(api, bucketRef(name));
    for (const door of [doors['get'], doors['list']])
      expect(said((await door?.(name, cursor)) ?? fail())).toBe('2 True/Available');
  });
});

function fail(): never {
  throw new Error('there is no such write');
}
