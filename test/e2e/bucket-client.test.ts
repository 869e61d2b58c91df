import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnyReconciler, Desired, ReaderContext } from '#controller/contract.ts';
import { ProviderError } from '#controller/contract.ts';
import { startCloud } from '#hack/cloud/server.ts';
import type { Cloud } from '#hack/cloud/server.ts';
import { GcsClient } from '#reconcilers/providers/gcs/client.ts';
import { sdkTransport } from '#reconcilers/providers/gcs/sdk-transport.ts';
import { gcsSettings } from '#reconcilers/providers/gcs/settings.ts';
import { createRegistry } from '#reconcilers/registry.ts';
import { bucket } from '#resources/bucket.ts';
import type { JsonObject } from '#resources/json.ts';
import { driveKind } from '#test/support/drive-kind.ts';

/** The reconcilers over Google's own SDK against the local cloud on a socket, and against servers that misbehave. */

const uid = '0b9d7a5e-0000-4000-8000-000000000001';
const soon = (): AbortSignal => AbortSignal.timeout(10_000);

describe('a bucket over the official SDK', () => {
  let cloud: Cloud;
  let registry: ReturnType<typeof createRegistry>;
  const folder = mkdtempSync(join(tmpdir(), 'vibn-sdk-'));

  beforeAll(async () => {
    cloud = await startCloud({ gcs: { rates: 'off' } });
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const email = 'reader@vibn-local.iam.gserviceaccount.com';
    cloud.iam.registerServiceAccountKey({ email, publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }) });
    const keyFile = join(folder, 'signing.pem');
    writeFileSync(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    registry = createRegistry({
      env: { VIBN_GCS_ENDPOINT: cloud.index.gcs, VIBN_SIGNING_EMAIL: email, VIBN_SIGNING_KEY_FILE: keyFile },
    });
  });
  afterAll(async () => {
    await cloud.close();
    rmSync(folder, { recursive: true });
  });

  const reconciler = (): AnyReconciler => {
    const found = registry.reconcilers.find((one) => one.kind.name === 'Bucket');
    if (found === undefined) throw new Error('Bucket is not registered');
    return found;
  };
  const drive = (name: string, spec: JsonObject, gone = false) => {
    const parsed = bucket.spec.parse(spec);
    const desired: Desired<typeof bucket> = gone
      ? { state: 'absent', policy: 'Delete', spec: parsed }
      : { state: 'present', spec: parsed };
    return driveKind(reconciler(), { uid, workspace: 'acme', name, desired });
  };
  const read = (name: string, verb: string, input: JsonObject) => {
    const status = { external: { name: `vibn-ws-acme-${name}`, location: 'northamerica-northeast1' } };
    const row = { kind: 'Bucket', workspace: 'acme', name, status, deletedAt: null } as unknown as ReaderContext['row'];
    const context: ReaderContext = { row, now: Date.now(), call: (_options, send) => send(soon()) };
    const given = reconciler().kind.verbs[verb]?.input.parse({ workspace: 'acme', bucket: name, ...input });
    return registry.readers[verb]?.(given as JsonObject, context) as Promise<{
      url: string;
      method: string;
      headers: Record<string, string>;
    }>;
  };

  it('is made, drifts, heals, is exposed, emptied and deleted', async () => {
    const spec = {
      publicRead: true,
      versioning: true,
      lifecycle: [{ deleteAfterDays: 30, prefix: '{{projectId}}/' }],
      emptyBeforeDelete: true,
    };
    expect((await drive('life', spec)).actions).toEqual(['create', 'expose']);
    expect((await drive('life', spec)).actions).toEqual([]);
    const patch = { versioning: { enabled: false }, iamConfiguration: { publicAccessPrevention: 'enforced' } };
    const url = `${cloud.index.gcs}/storage/v1/b/vibn-ws-acme-life`;
    const headers = { 'content-type': 'application/json' };
    expect((await fetch(url, { method: 'PATCH', headers, body: JSON.stringify(patch) })).status).toBe(200);
    expect((await drive('life', spec)).actions).toEqual(['update', 'expose']);
    const upload = `${cloud.index.gcs}/upload/storage/v1/b/vibn-ws-acme-life/o?uploadType=media&name=a%2Fb`;
    for (const body of ['one', 'two']) expect((await fetch(upload, { method: 'POST', body })).status).toBe(200);
    expect(await (await fetch(`${cloud.index.gcs}/vibn-ws-acme-life/a/b`)).text()).toBe('two');
    expect((await drive('life', spec, true)).actions).toEqual(['empty', 'delete']);
    expect((await fetch(url)).status).toBe(404);
  });

  it('takes signed uploads of the signed type and length only, and gives signed downloads', async () => {
    await drive('signed', {});
    const key = 'dir/ä b.txt';
    const up = await read('signed', 'storage.presign_upload', { key, contentType: 'text/plain', maxBytes: 5 });
    expect(up.url).toContain('X-Goog-Algorithm=GOOG4-RSA-SHA256');
    const put = (body: string, headers: Record<string, string>) => fetch(up.url, { method: up.method, headers, body });
    expect((await put('too long', up.headers)).status).toBe(400);
    expect((await put('short', { ...up.headers, 'content-type': 'text/html' })).status).toBe(403);
    expect((await put('short', up.headers)).status).toBe(200);
    const down = await read('signed', 'storage.presign_download', { key });
    const answer = await fetch(down.url);
    expect([answer.status, await answer.text()]).toEqual([200, 'short']);
    expect((await fetch(`${cloud.index.gcs}/vibn-ws-acme-signed/dir/%C3%A4%20b.txt`)).status).toBe(403);
    await expect(read('signed', 'storage.list_objects', {})).resolves.toMatchObject({
      items: [{ key, size: 5, contentType: 'text/plain' }],
      nextCursor: null,
    });
  });

  it('is never retried by the SDK: one fault, one call', async () => {
    const { id } = cloud.faults.add({ provider: 'gcs', op: 'buckets.get', fault: 'refuse', times: 5 });
    const before = cloud.calls.since(0).next;
    const client = new GcsClient(sdkTransport(gcsSettings({ VIBN_GCS_ENDPOINT: cloud.index.gcs })), 'vibn-local');
    await expect(client.look('vibn-ws-acme-x', { sure: false, signal: soon() })).rejects.toThrow(ProviderError);
    expect(cloud.calls.since(before).calls).toHaveLength(1);
    cloud.faults.remove(id);
  });
});

/** A server that answers every request alike; the URLs it was asked, and how many connections it saw. */
async function misbehaving(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const asked: IncomingMessage[] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    asked.push(request);
    request.resume();
    answer(request, response);
  });
  server.on('connection', () => (connections += 1));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const settings = gcsSettings({ VIBN_GCS_ENDPOINT: endpoint, VIBN_GCP_ACCESS_TOKEN: 'secret' });
  return {
    client: new GcsClient(sdkTransport(settings), settings.project),
    asked,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

const json = (status: number, text: string) => (_request: IncomingMessage, response: ServerResponse) => {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(text);
};
const html = (status: number) => (_request: IncomingMessage, response: ServerResponse) => {
  response.writeHead(status, { 'content-type': 'text/html' });
  response.end('<html>not what you asked for</html>');
};

describe('a server that misbehaves', () => {
  it.each<[string, (request: IncomingMessage, response: ServerResponse) => void, string]>([
    ['an empty 200', json(200, ''), 'unknown'],
    ['truncated JSON', json(200, '{"name":"vibn'), 'unknown'],
    ['JSON of something else', json(200, '[]'), 'unknown'],
    ['a page with 200', html(200), 'unknown'],
    ['a page with 404', html(404), 'unknown'],
    ['a page with 502', html(502), 'unknown'],
    ['a 200 with an error inside', json(200, '{"error":{"code":500,"message":"x"}}'), 'unknown'],
    ['a reset', (request) => request.socket.destroy(), 'unknown'],
    ['a 503 in JSON', json(503, '{"error":{"code":503,"errors":[{"reason":"backendError"}]}}'), 'unknown'],
  ])('with %s: never absent, never done, asked once', async (_what, answer, outcome) => {
    await using server = await misbehaving(answer);
    for (const work of [
      () => server.client.look('b-name', { sure: false, signal: soon() }),
      () => server.client.objects('b-name', { limit: 1 }, soon()),
      () => server.client.patch('b-name', { patch: {}, metageneration: '1' }, soon()),
    ]) {
      const error: unknown = await work().catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(ProviderError);
      expect((error as ProviderError).detail.outcome).toBe(outcome);
    }
    expect(server.asked).toHaveLength(3);
  });

  it('that never answers is given up when the signal says so', async () => {
    const heard = Promise.withResolvers<undefined>();
    await using server = await misbehaving(() => heard.resolve(undefined));
    const controller = new AbortController();
    const deleting = server.client.delete('b-name', '1', controller.signal);
    await heard.promise;
    controller.abort();
    const error: unknown = await deleting.catch((thrown: unknown) => thrown);
    expect((error as ProviderError).detail).toMatchObject({ reason: 'ProviderTimeout', outcome: 'unknown' });
  });

  it("hears one connection for many calls, no Authorization over plain HTTP, and the customer's text as it is", async () => {
    const bodies: string[] = [];
    await using server = await misbehaving((request, response) => {
      request.on('data', (chunk: Buffer) => bodies.push(chunk.toString()));
      request.on('end', () => json(404, '{"error":{"code":404,"errors":[{"reason":"notFound"}]}}')(request, response));
    });
    for (let call = 0; call < 5; call += 1) {
      await server.client.look('b-name', { sure: false, signal: soon() });
    }
    const patch = { labels: { note: '{{projectId}}' } };
    await server.client.patch('b-name', { patch, metageneration: '1' }, soon()).catch(() => undefined);
    expect(server.connections()).toBe(1);
    expect(server.asked.filter((request) => request.headers.authorization !== undefined)).toEqual([]);
    expect(bodies).toEqual([JSON.stringify(patch)]);
    expect(server.asked.at(-1)?.headers['user-agent']).toContain('gcloud-node-storage');
  });
});
