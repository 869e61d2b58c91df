import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import postgres from 'postgres';
import { migrate } from '#controller/store/migrate.ts';
import type { LoginRole } from '#controller/store/roles.ts';
import { loginUrl } from '#controller/store/sql.ts';
import { startEmbeddedPostgres } from '#hack/embedded-postgres.ts';

/**
 * One Postgres for all benches of a run, as durable as in production: fsync, full_page_writes and synchronous_commit stay on. `DATABASE_URL`
 * set: that server is used instead (the owner's login, which may create databases).
 */
export interface BenchServer {
  /** What the figures were taken on. */
  readonly about: string;
  /** A database of its own, migrated, dropped at the end. */
  database(): Promise<BenchDatabase>;
  stop(): Promise<void>;
}

export interface BenchDatabase {
  readonly ownerUrl: string;
  /** Plain postgres.js as the owner: for arranging and looking. */
  readonly owner: postgres.Sql;
  urlOf(role: LoginRole): string;
  drop(): Promise<void>;
}

const settings = {
  max_connections: '200',
  shared_buffers: '512MB',
  max_wal_size: '4GB',
  min_wal_size: '1GB',
  checkpoint_timeout: '15min',
  track_io_timing: 'off',
};

/** What a run writes, and more. */
const walSegments = 32;

/**
 * As on a server that has run for a while, segments of the write-ahead log are there to be used again: a new one is filled with zeros first,
 * for which all commits wait, 25 to 40 ms every few seconds.
 */
async function makeSegments(admin: postgres.Sql): Promise<void> {
  for (let made = 0; made < walSegments; made += 1) {
    await admin`select pg_logical_emit_message(false, 'bench', '')`;
    await admin`select pg_switch_wal()`;
  }
  await admin`checkpoint`;
}

export async function startBenchServer(): Promise<BenchServer> {
  const given = process.env['DATABASE_URL'];
  const own = given === undefined ? await startOwn() : null;
  const serverUrl = given ?? own?.url ?? '';
  const rolePassword = process.env['VIBN_DB_ROLE_PASSWORD'] ?? randomBytes(12).toString('hex');
  const admin = postgres(serverUrl, { max: 1, onnotice: () => undefined });
  if (own !== null) await makeSegments(admin);
  const open = new Set<BenchDatabase>();
  const database = async (): Promise<BenchDatabase> => {
    const name = `vibn_bench_${randomBytes(6).toString('hex')}`;
    await admin.unsafe(`create database ${name}`);
    const url = new URL(serverUrl);
    url.pathname = `/${name}`;
    const ownerUrl = url.toString();
    await migrate({ url: ownerUrl, rolePassword });
    const owner = postgres(ownerUrl, { max: 2, onnotice: () => undefined });
    const made: BenchDatabase = {
      ownerUrl,
      owner,
      urlOf: (role) => loginUrl(ownerUrl, role, rolePassword),
      drop: async () => {
        if (!open.delete(made)) return;
        await owner.end({ timeout: 1 });
        await admin.unsafe(`drop database if exists ${name} with (force)`);
      },
    };
    open.add(made);
    return made;
  };
  return {
    about: await describe(admin, own === null),
    database,
    stop: async () => {
      for (const made of open) await made.drop().catch(() => undefined);
      await admin.end({ timeout: 1 });
      await own?.stop();
    },
  };
}

async function startOwn(): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'vibn-bench-'));
  const dataDir = join(folder, 'data');
  const started = await startEmbeddedPostgres({
    dataDir,
    user: 'vibn_owner',
    password: randomBytes(12).toString('hex'),
    // "persistent" is what keeps fsync on; the data goes when we stop.
    persistent: true,
    settings,
  });
  // However this process ends, the server ends with it.
  const kill = (): void => {
    try {
      process.kill(started.pid, 'SIGQUIT');
    } catch {
      // It has gone already.
    }
  };
  process.once('exit', kill);
  return {
    url: started.url,
    stop: async () => {
      await started.stop();
      process.removeListener('exit', kill);
      await rm(dirname(dataDir), { recursive: true, force: true });
    },
  };
}

async function describe(admin: postgres.Sql, foreign: boolean): Promise<string> {
  const names = ['server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'max_wal_size'];
  const rows = await admin<{ name: string; value: string }[]>`
    select name, current_setting(name) as value from pg_settings where name = any (${names})`;
  const value = new Map(rows.map((row) => [row.name, row.value]));
  const said = names.slice(1).map((name) => `${name} ${value.get(name) ?? '?'}`);
  return `Postgres ${value.get('server_version') ?? '?'} (${foreign ? 'DATABASE_URL' : 'embedded'}), ${said.join(', ')}`;
}
