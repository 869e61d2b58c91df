import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Storage } from '@google-cloud/storage';
import { afterEach, describe, expect, it } from 'vitest';
import { startCloud, type Cloud, type CloudOptions } from './server.ts';

const running: Cloud[] = [];

async function cloud(options: CloudOptions = {}): Promise<Cloud> {
  const started = await startCloud({ gcs: { rates: 'off' }, ...options });
  running.push(started);
  return started;
}

afterEach(async () => {
  for (const started of running.splice(0)) await started.close();
});

async function json(
  url: string,
  init: { method?: string; body?: unknown; headers?: Record<string, string> } = {},
): Promise<{ status: number; body: any }> {
  const response = await fetch(url, {
    method: init.method ?? 'GET',
    headers: init.headers ?? {},
    ...(init.body === undefined ? {} : { body: JSON.stringify(init.body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
}

const create = (started: Cloud, name: string) =>
  json(`${started.index.gcs}/storage/v1/b?project=vibn-local`, { method: 'POST', body: { name } });

describe('the control port', () => {
  it('lists the built providers without trailing slashes', async () => {
    const started = await cloud();
    const { body } = await json(`${started.controlUrl}/`);
    expect(body).toEqual(started.index);
    expect(Object.keys(body)).toEqual(['gcs', 'iam']);
    for (const url of Object.values(body)) expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  });

  it('adds, shows, counts and removes faults', async () => {
    const started = await cloud();
    const { body } = await json(`${started.controlUrl}/faults`, {
      method: 'POST',
      body: { provider: 'gcs', op: 'buckets.insert', fault: 'refuse', times: 1 },
    });
    expect((await create(started, 'faulty')).status).toBe(503);
    expect((await create(started, 'faulty')).status).toBe(200);
    expect((await json(`${started.controlUrl}/faults`)).body.faults).toMatchObject([{ id: body.id, fired: 1 }]);
    expect((await json(`${started.controlUrl}/faults/${body.id}`, { method: 'DELETE' })).status).toBe(204);
    expect((await json(`${started.controlUrl}/faults/${body.id}`, { method: 'DELETE' })).status).toBe(404);
    expect((await json(`${started.controlUrl}/faults`, { method: 'DELETE' })).status).toBe(204);
    expect((await json(`${started.controlUrl}/faults`)).body).toEqual({ faults: [] });
  });

  it.each([
    [{ provider: 's3', fault: 'refuse' }, 'provider', ['gcs', 'iam']],
    [{ provider: 'gcs', fault: 'boom' }, 'fault', expect.arrayContaining(['lose-reply'])],
    ['{', '', undefined],
  ])('answers 400 to the fault %j with the field and what is allowed', async (body, field, allowed) => {
    const started = await cloud();
    const answer = await json(`${started.controlUrl}/faults`, { method: 'POST', body });
    expect(answer.status).toBe(400);
    expect(answer.body.error).toMatchObject({ field, ...(allowed === undefined ? {} : { allowed }) });
  });

  it('shows calls after a cursor', async () => {
    const started = await cloud();
    await create(started, 'logged-1');
    const first = (await json(`${started.controlUrl}/calls?provider=gcs&after=0`)).body;
    expect(first.calls).toMatchObject([
      { n: 1, provider: 'gcs', op: 'buckets.insert', name: 'logged-1', outcome: 'ok' },
    ]);
    await create(started, 'logged-1');
    const second = (await json(`${started.controlUrl}/calls?provider=gcs&after=${first.next}`)).body;
    expect(second).toMatchObject({ calls: [{ n: 2, outcome: 'error:409' }], next: 2 });
    expect((await json(`${started.controlUrl}/calls?provider=nope`)).status).toBe(400);
    expect((await json(`${started.controlUrl}/calls?after=x`)).status).toBe(400);
  });

  it('registers identities, which then act under IAM', async () => {
    const started = await cloud();
    await json(`${started.controlUrl}/identities`, {
      method: 'POST',
      body: { token: 'tok', email: 'eve@example.com', project: 'elsewhere' },
    });
    await create(started, 'ours');
    const headers = { authorization: 'Bearer tok' };
    expect((await json(`${started.index.gcs}/storage/v1/b/ours`, { headers })).status).toBe(403);
    expect(
      (await json(`${started.index.gcs}/storage/v1/b/ours`, { headers: { authorization: 'Bearer other' } })).status,
    ).toBe(401);
    expect(
      (await json(`${started.controlUrl}/identities`, { method: 'POST', body: { token: 'tok' } })).body.error.field,
    ).toBe('email');
  });

  it('answers 404 on other paths and says which there are', async () => {
    const started = await cloud();
    expect((await json(`${started.controlUrl}/nope`)).body.error.allowed).toContain('GET /calls?provider=&after=');
  });
});

describe('faults on the wire', () => {
  it('lose-reply closes the connection after the effect', async () => {
    const started = await cloud();
    started.faults.add({ provider: 'gcs', op: 'buckets.insert', fault: 'lose-reply', times: 1 });
    await expect(create(started, 'unknown')).rejects.toThrow('fetch failed');
    expect((await json(`${started.index.gcs}/storage/v1/b/unknown`)).status).toBe(200);
  });

  it('slow holds the reply back', async () => {
    const started = await cloud();
    started.faults.add({ provider: 'gcs', op: 'buckets.get', fault: 'slow', delayMs: 60 });
    await create(started, 'sluggish');
    const beganMs = performance.now();
    expect((await json(`${started.index.gcs}/storage/v1/b/sluggish`)).status).toBe(200);
    expect(performance.now() - beganMs).toBeGreaterThanOrEqual(55);
  });

  it('a late effect that has not landed is dropped at close', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'vibn-cloud-'));
    try {
      const started = await cloud({ dataDir });
      started.faults.add({ provider: 'gcs', op: 'buckets.insert', fault: 'late', delayMs: 3_600_000 });
      await expect(create(started, 'never')).rejects.toThrow('fetch failed');
      await started.close();
      const again = await cloud({ dataDir });
      expect((await json(`${again.index.gcs}/storage/v1/b/never`)).status).toBe(404);
      await again.close();
    } finally {
      rmSync(dataDir, { recursive: true, force: true });
    }
  });
});

describe('a signing key', () => {
  it('uploaded over the IAM API signs object URLs, also after a restart', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'vibn-cloud-'));
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const email = 'vibn-operator@vibn-local.iam.gserviceaccount.com';
    try {
      const first = await cloud({ dataDir });
      await create(first, 'signed-1');
      await fetch(`${first.index.gcs}/upload/storage/v1/b/signed-1/o?uploadType=media&name=a`, {
        method: 'POST',
        body: 'kept',
      });
      const publicKeyData = Buffer.from(publicKey.export({ type: 'spki', format: 'pem' })).toString('base64');
      const uploaded = await json(`${first.index.iam}/v1/projects/vibn-local/serviceAccounts/${email}/keys:upload`, {
        method: 'POST',
        body: { publicKeyData },
      });
      expect(uploaded.status).toBe(200);
      await first.close();
      const second = await cloud({ dataDir });
      const credentials = { client_email: email, private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }) };
      const storage = new Storage({ apiEndpoint: second.index.gcs, projectId: 'vibn-local', credentials });
      const [url] = await storage
        .bucket('signed-1')
        .file('a')
        .getSignedUrl({ version: 'v4', action: 'read', expires: Date.now() + 60_000 });
      const response = await fetch(url);
      expect([response.status, await response.text()]).toEqual([200, 'kept']);
      await second.close();
    } finally {
      rmSync(dataDir, { recursive: true, force: true });
    }
  });
});

describe('ports', () => {
  it('a taken port rejects with its number and leaves nothing running', async () => {
    const blocker = createServer().listen(0, '127.0.0.1');
    await once(blocker, 'listening');
    const { port } = blocker.address() as AddressInfo;
    await expect(startCloud({ ports: { gcs: port } })).rejects.toThrow(`port ${port} on 127.0.0.1 is taken`);
    blocker.close();
  });
});
