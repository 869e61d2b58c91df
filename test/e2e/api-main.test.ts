import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSqlAdminStore } from '#controller/store/sql-admin-store.ts';
import { createClient } from '#api/client.ts';
import { createDatabase, type TestDatabase } from '#test/support/postgres.ts';
import { rootKey } from '#test/support/root-key.ts';
import { hmacSecret, workspaceManifest } from './api-support.ts';

// The role `api` as a process of its own.

const root = path.join(import.meta.dirname, '..', '..');
type Child = ChildProcessByStdio<null, Readable, Readable>;
const running = new Set<Child>();

function start(env: Record<string, string>): Child {
  const child = spawn(process.execPath, ['api/main.ts'], {
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

/** The address that the log names. */
function listening(child: Child): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += String(chunk);
      const address = /"address":"(http:[^"]+)"/.exec(text)?.[1];
      if (address !== undefined) resolve(address);
    });
    child.once('exit', () => reject(new Error(`it ended: ${text}`)));
  });
}

async function metricsOf(url: string): Promise<string> {
  return (await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${key}` } })).text();
}

const exit = (child: Child): Promise<number | null> => new Promise((resolve) => child.once('exit', resolve));

let db: TestDatabase;
let key: string;
beforeAll(async () => {
  db = await createDatabase();
  const sql = { api: db.sql('vibn_api'), platform: db.sql('vibn_platform'), controller: db.sql('vibn_controller') };
  const { row, text } = rootKey(hmacSecret);
  key = text;
  await createSqlAdminStore(sql).createKey('platform', row);
});
afterAll(async () => {
  for (const child of running) child.kill('SIGKILL');
  await db[Symbol.asyncDispose]();
});

const settings = (): Record<string, string> => ({
  DATABASE_URL_API: db.urlOf('vibn_api'),
  DATABASE_URL_PLATFORM: db.urlOf('vibn_platform'),
  DATABASE_URL_DIRECT: db.directUrlOf('vibn_api'),
  VIBN_KEY_HMAC_SECRET: hmacSecret,
  VIBN_API_PORT: '0',
});

describe('api/main.ts', () => {
  it('lists every wrong setting and exits 1', async () => {
    const child = start({ VIBN_API_PORT: 'x' });
    let text = '';
    child.stderr.on('data', (chunk) => (text += String(chunk)));
    expect(await exit(child)).toBe(1);
    for (const name of ['DATABASE_URL_API', 'DATABASE_URL_PLATFORM', 'VIBN_API_PORT', 'VIBN_KEY_HMAC_SECRET']) {
      expect(text).toContain(name);
    }
  });

  it('serves, logs no key, and stops on SIGTERM with exit 0: an open wait is answered, an open watch ends', async () => {
    const child = start(settings());
    const url = await listening(child);
    let log = '';
    child.stdout.on('data', (chunk) => (log += String(chunk)));
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    const client = createClient({ url, apiKey: key });
    await client.resources.apply({ manifest: workspaceManifest('acme') });
    const watch = client.watch({ workspace: 'acme' });
    expect((await watch.next()).value).toMatchObject({ type: 'CHANGED' });
    const waiting = client.resources.wait({ refs: [{ workspace: 'acme', kind: 'Workspace', name: 'acme' }] });
    while (!(await metricsOf(url)).includes('vibn_statement_seconds_count{statement="read_bare_by_uid"'))
      await client.kinds.list();
    const stopped = exit(child);
    const began = performance.now();
    child.kill('SIGTERM');
    expect(await stopped).toBe(0);
    expect(performance.now() - began).toBeLessThan(5_000);
    expect(await waiting).toMatchObject({ outcome: 'timeout', cursor: expect.any(String) });
    await watch.return();
    expect(log).toContain('"procedure":"resources.apply"');
    expect(log).not.toContain(key.split('_')[3]);
  });

  it('says UNAVAILABLE while the database is away, and is not ready', async () => {
    const away = 'postgres://vibn_api:x@127.0.0.1:1/none';
    const child = start({ ...settings(), DATABASE_URL_API: away, DATABASE_URL_PLATFORM: away });
    const url = await listening(child);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
    const answer = createClient({ url, apiKey: key }).kinds.list();
    await expect(answer).rejects.toMatchObject({ data: { code: 'UNAVAILABLE', retryable: true } });
    const stopped = exit(child);
    child.kill('SIGTERM');
    expect(await stopped).toBe(0);
  });
});
