import { chmod, chown, cp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import postgres from 'postgres';
import { freePort } from '#hack/up/settings.ts';
import { until } from '#test/support/up.ts';
import { openServer, startOwnPostgres } from './own-postgres.ts';
import type { OwnPostgres } from './own-postgres.ts';

/** A primary and a standby that it waits for at each commit. */
export interface Pair extends AsyncDisposable {
  readonly primary: OwnPostgres;
  readonly standby: OwnPostgres;
  /** Makes the standby the primary; resolves when it takes writes. */
  promote(): Promise<void>;
}

const slot = 'standby';
const replication = {
  wal_level: 'replica',
  max_wal_senders: '5',
  hot_standby: 'on',
  // A flush on the standby before a commit is acknowledged.
  synchronous_commit: 'on',
} as const;

/**
 * Starts both. The standby is a copy of the primary's files made while it stands still, so that it takes no binary but the server's own;
 * resolves when commits wait for it.
 */
export async function startPair(): Promise<Pair> {
  const primary = await startOwnPostgres(replication);
  await primary.stop();
  const folder = path.join(path.dirname(primary.dataDir), 'standby');
  const dataDir = path.join(folder, 'data');
  await cp(primary.dataDir, dataDir, { recursive: true, preserveTimestamps: true });
  const { password } = primary;
  const from = `host=127.0.0.1 port=${primary.port} user=vibn_owner password=${password} application_name=${slot}`;
  await writeFile(path.join(dataDir, 'standby.signal'), '');
  await giveTo(primary.dataDir, dataDir);
  const standby = openServer({
    folder,
    dataDir,
    password,
    port: await freePort(),
    settings: { ...replication, primary_conninfo: from },
  });
  await primary.start({ synchronous_standby_names: `FIRST 1 (${slot})` });
  await standby.start();
  const admin = postgres(primary.ownerUrl, { max: 1 });
  await until(async () => {
    const rows = await admin`select 1 from pg_stat_replication where sync_state = 'sync' and state = 'streaming'`;
    return rows.length === 1 ? true : null;
  });
  await admin.end();
  return {
    primary,
    standby,
    async promote() {
      const sql = postgres(standby.ownerUrl, { max: 1 });
      await sql`select pg_promote(true, 60)`;
      await until(async () => {
        const [row] = await sql<{ recovering: boolean }[]>`select pg_is_in_recovery() as recovering`;
        return row?.recovering === false ? true : null;
      });
      await sql.end();
    },
    async [Symbol.asyncDispose]() {
      await standby[Symbol.asyncDispose]();
      await primary[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The server refuses data that is not its account's own. */
async function giveTo(like: string, dataDir: string): Promise<void> {
  await chmod(dataDir, 0o700);
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(like);
  const inside = await readdir(dataDir, { recursive: true });
  for (const file of ['', ...inside]) await chown(path.join(dataDir, file), uid, gid);
}
