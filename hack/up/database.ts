import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import postgres from 'postgres';
import { migrate } from '#controller/store/migrate.ts';
import type { LoginRole } from '#controller/store/roles.ts';
import { loginUrl } from '#controller/store/sql.ts';
import { startEmbeddedPostgres } from '#hack/embedded-postgres.ts';
import type { EmbeddedPostgres } from '#hack/embedded-postgres.ts';
import { removePid, writePid } from './child.ts';
import type { KeptChild } from './child.ts';
import type { UpSecrets } from './secrets.ts';
import type { UpSettings } from './settings.ts';

/** The database under `npm start`: the owner's URL, and the child that serves it (null where DATABASE_URL was given). */
export interface UpDatabase {
  readonly ownerUrl: string;
  readonly child: KeptChild | null;
}

const owner = 'postgres';
const databaseName = 'vibn';
const restartFirstMs = 1_000;
const restartMaxMs = 30_000;
/** A small machine's share: 2 pools of the API, 2 of the controller, 1 of the reader, LISTEN connections, psql beside them. */
const serverSettings = { max_connections: '120', shared_buffers: '64MB' };

/** Starts the embedded Postgres, or takes the one of DATABASE_URL, and brings it to the newest schema. */
export async function openDatabase(
  settings: UpSettings,
  secrets: UpSecrets,
  onDeath: (message: string) => void,
): Promise<UpDatabase> {
  const own = settings.databaseUrl;
  const started = own === null ? await startServer(settings, secrets, onDeath) : null;
  const ownerUrl = own ?? urlOf(settings, secrets, databaseName);
  try {
    await migrate({ url: ownerUrl, rolePassword: secrets.rolePasswords });
  } catch (error) {
    await started?.stop(5_000);
    throw error;
  }
  return { ownerUrl, child: started };
}

function urlOf(settings: UpSettings, secrets: UpSecrets, database: string): string {
  return `postgres://${owner}:${secrets.postgresPassword}@127.0.0.1:${settings.pgPort}/${database}`;
}

async function startServer(
  settings: UpSettings,
  secrets: UpSecrets,
  onDeath: (message: string) => void,
): Promise<KeptChild> {
  const begin = (): Promise<EmbeddedPostgres> =>
    startEmbeddedPostgres({
      dataDir: join(settings.dataDir, 'postgres'),
      port: settings.pgPort,
      user: owner,
      password: secrets.postgresPassword,
      persistent: true,
      settings: serverSettings,
    });
  mkdirSync(settings.dataDir, { recursive: true });
  const state = { server: await begin(), stopping: false, waitMs: restartFirstMs };
  writePid(settings.dataDir, 'postgres', state.server.pid);
  const watch = async (): Promise<void> => {
    while (!state.stopping) {
      await state.server.exited;
      removePid(settings.dataDir, 'postgres');
      if (isStopping(state)) return;
      onDeath(`postgres died; starting it again in ${state.waitMs / 1000} s.`);
      await new Promise((done) => setTimeout(done, state.waitMs));
      if (isStopping(state)) return;
      try {
        state.server = await begin();
        writePid(settings.dataDir, 'postgres', state.server.pid);
        state.waitMs = restartFirstMs;
      } catch (error) {
        state.waitMs = Math.min(state.waitMs * 2, restartMaxMs);
        onDeath(String(error));
      }
    }
  };
  void watch();
  await createDatabase(urlOf(settings, secrets, 'postgres'));
  return {
    role: 'postgres',
    stop: async () => {
      state.stopping = true;
      await state.server.stop();
    },
  };
}

/** Read through a function: it changes while others wait. */
function isStopping(state: { readonly stopping: boolean }): boolean {
  return state.stopping;
}

async function createDatabase(url: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  try {
    const found = await sql`select 1 from pg_database where datname = ${databaseName}`;
    if (found.length === 0) await sql.unsafe(`create database ${databaseName}`);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

/** The URL of a login role of our database. */
export function roleUrl(database: UpDatabase, role: LoginRole, secrets: UpSecrets): string {
  return loginUrl(database.ownerUrl, role, secrets.rolePasswords[role]);
}
