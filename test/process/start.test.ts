import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectFrom } from '#api/cli/connection.ts';
import { readManifests } from '#api/cli/manifests.ts';
import { runCli } from '#api/cli/program.ts';
import type { UpSecrets } from '#hack/up/secrets.ts';
import { refusedUp, startUp, until } from '#test/support/up.ts';
import type { Up } from '#test/support/up.ts';

/** The fixed contract of `npm start` (architecture §8), which scripts rely on. */
const examples = join(import.meta.dirname, '..', '..', 'hack', 'examples');
const roles = ['postgres', 'cloud', 'api', 'controller', 'reader'];

describe('npm start', () => {
  let up: Up;
  beforeAll(async () => {
    up = await startUp({ VIBN_DEMO: 'on' });
  });
  afterAll(async () => {
    await up[Symbol.asyncDispose]();
  });

  test('says "ready <url>" alone on a line, once /readyz is 200', async () => {
    expect(up.lines.filter((line) => line.startsWith('ready '))).toEqual([`ready ${up.apiUrl}`]);
    expect((await fetch(`${up.apiUrl}/readyz`)).status).toBe(200);
    expect((await fetch(`${up.apiUrl}/healthz`)).status).toBe(200);
  });

  test('keeps a pid file of each child', () => {
    for (const role of roles) expect(isAlive(up.pidOf(role)), role).toBe(true);
  });

  test('writes the admin key alone in a file that only its owner may read', async () => {
    const file = join(up.dataDir, 'admin.key');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).toMatch(/^vibn_[^\s]+\n$/);
    expect((await fetch(`${up.apiUrl}/metrics`)).status).toBe(401);
    expect(
      (await fetch(`${up.apiUrl}/metrics`, { headers: { authorization: `Bearer ${up.adminKey()}` } })).status,
    ).toBe(200);
  });

  test('gives each database login a password of its own: what the API holds does not open the controller', async () => {
    const { rolePasswords } = JSON.parse(readFileSync(join(up.dataDir, 'secrets.json'), 'utf8')) as UpSecrets;
    const login = async (user: string, password: string): Promise<string> => {
      const sql = postgres({ host: '127.0.0.1', port: up.pgPort, database: 'vibn', user, password, max: 1 });
      try {
        return String((await sql<{ me: string }[]>`select current_user as me`)[0]?.me);
      } catch (error) {
        return (error as { code: string }).code;
      } finally {
        await sql.end();
      }
    };
    expect(await login('vibn_api', rolePasswords.vibn_api)).toBe('vibn_api');
    expect(await login('vibn_controller', rolePasswords.vibn_api)).toBe('28P01');
  });

  test('lists the providers of the local cloud, without trailing slashes', async () => {
    const index = (await (await fetch(`${up.cloudUrl}/`)).json()) as Record<string, string>;
    expect(index['gcs']).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  });

  test('declares the example on the first start and converges it', async () => {
    await until(() => (up.lines.some((line) => line.includes('All converged')) ? true : null), 60_000);
    const { items } = await up.client.resources.list({ workspace: 'acme' });
    expect(items.length).toBeGreaterThan(2);
  });

  test.each(
    readdirSync(examples)
      .filter((file) => file.endsWith('.yaml'))
      .sort(),
  )('converges the example %s, declared by the CLI', async (file) => {
    const env = { VIBN_API_PORT: new URL(up.apiUrl).port, VIBN_DATA_DIR: up.dataDir };
    const connect = () => ({ client: connectFrom(env), now: () => Date.now(), env });
    expect(await runCli(['apply', '-f', join(examples, file)], connect, env)).toBe(0);
    const refs = readManifests([join(examples, file)]).map(({ workspace, kind, name }) => ({ workspace, kind, name }));
    expect((await up.client.waitReady(refs, { timeoutMs: 60_000 })).outcome).toBe('met');
  });

  test('starts a child that dies again, and leaves the others alone', async () => {
    const before = Object.fromEntries(roles.map((role) => [role, up.pidOf(role)]));
    for (const role of ['controller', 'api', 'reader', 'cloud', 'postgres']) {
      process.kill(before[role] ?? 0, 'SIGKILL');
      const born = await until(() => {
        const pid = up.pidOf(role);
        return pid !== null && pid !== before[role] ? pid : null;
      });
      expect(born, role).not.toBe(before[role]);
    }
    await until(async () => ((await fetch(`${up.apiUrl}/readyz`).catch(() => null))?.status === 200 ? true : null));
    const manifest = {
      apiVersion: 'vibn.dev/v1',
      kind: 'Bucket',
      metadata: { workspace: 'acme', name: 'after-the-storm' },
      spec: {},
    } as const;
    await until(() => up.client.resources.apply({ manifest }).catch(() => null));
    const waited = await up.client.waitReady([{ workspace: 'acme', kind: 'Bucket', name: 'after-the-storm' }], {
      timeoutMs: 60_000,
    });
    expect(waited.outcome).toBe('met');
  });

  test('stops everything on SIGTERM with exit code 0, and keeps data and key for the next start', async () => {
    const pids = roles.map((role) => up.pidOf(role));
    const key = up.adminKey();
    const begun = performance.now();
    expect(await up.stop()).toBe(0);
    expect(performance.now() - begun).toBeLessThan(15_000);
    expect(pids.filter(isAlive)).toEqual([]);
    up = await up.again();
    expect(up.adminKey()).toBe(key);
    expect(
      (await up.client.resources.get({ workspace: 'acme', kind: 'Bucket', name: 'after-the-storm' })).metadata.name,
    ).toBe('after-the-storm');
  });

  test('makes a new admin key if the file is gone, and the old one is worth nothing', async () => {
    const old = up.adminKey();
    expect(await up.stop('SIGHUP')).toBe(0);
    rmSync(join(up.dataDir, 'admin.key'));
    up = await up.again();
    const status = async (key: string) =>
      (await fetch(`${up.apiUrl}/metrics`, { headers: { authorization: `Bearer ${key}` } })).status;
    expect([await status(old), await status(up.adminKey())]).toEqual([401, 200]);
  });

  test('stops everything when nobody reads what it says any more', async () => {
    const pids = roles.map((role) => up.pidOf(role));
    expect(await up.deafTo(() => process.kill(up.pidOf('reader') ?? 0, 'SIGKILL'))).toBe(0);
    expect(pids.filter(isAlive)).toEqual([]);
    up = await up.again();
  });

  test('refuses a second start on the same data, and ends what a killed supervisor left behind', async () => {
    const supervisor = up.pidOf('supervisor') ?? 0;
    const second = await refusedUp({ VIBN_DATA_DIR: up.dataDir, VIBN_API_PORT: '1' });
    expect([second.code, second.stderr]).toEqual([1, expect.stringContaining(`pid ${supervisor}`)]);
    const left = roles.map((role) => up.pidOf(role));
    process.kill(supervisor, 'SIGKILL');
    await until(() => (isAlive(supervisor) ? null : true));
    up = await up.again();
    expect(left.filter(isAlive)).toEqual([]);
    expect((await fetch(`${up.apiUrl}/readyz`)).status).toBe(200);
  });
});

describe('npm start refuses', () => {
  test('wrong settings, all listed at once', async () => {
    const { code, stderr } = await refusedUp({
      VIBN_API_PORT: 'x',
      VIBN_PG_PORT: '-1',
      VIBN_DEMO: 'maybe',
      DATABASE_URL: 'mysql://x',
    });
    expect(code).toBe(1);
    expect(stderr.match(/VIBN_API_PORT|VIBN_PG_PORT|VIBN_DEMO|DATABASE_URL/g)).toEqual([
      'VIBN_API_PORT',
      'VIBN_PG_PORT',
      'VIBN_DEMO',
      'DATABASE_URL',
    ]);
  });

  test('taken ports, naming what moves them, and leaves no process', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const { code, stderr } = await refusedUp({
      VIBN_API_PORT: String(port),
      VIBN_PG_PORT: String(port),
      VIBN_CLOUD_PORT: '64000',
    });
    server.close();
    expect(code).toBe(1);
    expect(stderr).toContain(`Port ${port} (the API) is taken`);
    expect(stderr).toContain('VIBN_PG_PORT');
  });
});

function isAlive(pid: number | null): boolean {
  if (pid === null) return false;
  if (existsSync('/proc/self/stat'))
    return existsSync(`/proc/${pid}`) && !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
