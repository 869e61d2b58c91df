import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import postgres from 'postgres';
import { migrate } from '#controller/store/migrate.ts';
import type { LoginRole } from '#controller/store/roles.ts';
import { loginUrl } from '#controller/store/sql.ts';
import { startEmbeddedPostgres } from '#hack/embedded-postgres.ts';
import type { EmbeddedPostgres } from '#hack/embedded-postgres.ts';
import { freePort } from '#hack/up/settings.ts';
import { until } from '#test/support/up.ts';

/** A server of a test's own, with the schema in it, that may be killed and started again on the same port and data. */
export interface OwnPostgres extends AsyncDisposable {
  readonly port: number;
  readonly dataDir: string;
  readonly password: string;
  readonly ownerUrl: string;
  urlOf(role: LoginRole): string;
  /** As a crash: what was acknowledged is on disk. SIGKILL: its sessions find out for themselves. */
  kill(how?: 'SIGQUIT' | 'SIGKILL'): Promise<void>;
  /** Fast shutdown. */
  stop(): Promise<void>;
  /** If it does not run. Resolves when it takes connections. */
  start(settings?: Readonly<Record<string, string>>): Promise<void>;
}

const database = 'vibn';
const user = 'vibn_owner';

/** Starts it and brings it to the newest schema. */
export async function startOwnPostgres(settings: Readonly<Record<string, string>> = {}): Promise<OwnPostgres> {
  const folder = mkdtempSync(path.join(tmpdir(), 'vibn-own-'));
  const password = randomBytes(12).toString('hex');
  const own = openServer({ folder, dataDir: path.join(folder, 'data'), password, port: await freePort(), settings });
  await own.start();
  const admin = postgres(`postgres://${user}:${password}@127.0.0.1:${own.port}/postgres`, { max: 1 });
  await admin.unsafe(`create database ${database}`);
  await admin.end();
  await migrate({ url: own.ownerUrl, rolePassword: password });
  return own;
}

export interface ServerInput {
  /** Removed at the end. */
  readonly folder: string;
  readonly dataDir: string;
  readonly password: string;
  readonly port: number;
  readonly settings: Readonly<Record<string, string>>;
}

/** A server over data that may be there already; not started yet. */
export function openServer({ folder, dataDir, password, port, settings: common }: ServerInput): OwnPostgres {
  const ownerUrl = `postgres://${user}:${password}@127.0.0.1:${port}/${database}`;
  let server: EmbeddedPostgres | null = null;
  // However this process ends, the server ends with it.
  const killNow = (how: 'SIGQUIT' | 'SIGKILL'): void => {
    try {
      if (server !== null) process.kill(server.pid, how);
    } catch {
      // It has gone already.
    }
  };
  const atExit = (): void => killNow('SIGQUIT');
  process.once('exit', atExit);
  const kill = async (how: 'SIGQUIT' | 'SIGKILL' = 'SIGQUIT'): Promise<void> => {
    killNow(how);
    await server?.exited;
    server = null;
  };
  return {
    port,
    dataDir,
    password,
    ownerUrl,
    urlOf: (role) => loginUrl(ownerUrl, role, password),
    kill,
    async stop() {
      await server?.stop();
      server = null;
    },
    async start(more = {}) {
      if (server !== null) return await recovered(ownerUrl);
      const settings = { max_connections: '100', ...common, ...more };
      server = await startEmbeddedPostgres({ dataDir, port, user, password, persistent: true, settings });
    },
    async [Symbol.asyncDispose]() {
      process.removeListener('exit', atExit);
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A server whose sessions all died with one of them recovers by itself. */
async function recovered(url: string): Promise<void> {
  await until(async () => {
    const sql = postgres(url, { max: 1 });
    const answered = await sql`select 1`.catch(() => null);
    await sql.end({ timeout: 1 });
    return answered;
  });
}
