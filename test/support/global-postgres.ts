import { createHmac, randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import postgres from 'postgres';
import { migrate } from '#controller/store/migrate.ts';
import { startEmbeddedPostgres } from '#hack/embedded-postgres.ts';

declare module 'vitest' {
  interface ProvidedContext {
    postgresOwnerUrl: string;
    postgresRolePassword: string;
    postgresTemplate: string;
  }
}

interface Project {
  provide(key: 'postgresOwnerUrl' | 'postgresRolePassword' | 'postgresTemplate', value: string): void;
}

/**
 * One server for the run, with a migrated template that each test file clones (test/support/postgres.ts).
 * `DATABASE_URL` set, a superuser's: that server is used, by any number of runs at once. It keeps the login roles; the template and the
 * clones are dropped.
 */
// oxlint-disable-next-line import/no-default-export -- vitest asks for it
export default async function globalPostgres(project: Project): Promise<() => Promise<void>> {
  const given = process.env['DATABASE_URL'];
  const server = given === undefined ? await startServer() : null;
  const ownerUrl = given ?? server?.url ?? '';
  const password = process.env['VIBN_DB_ROLE_PASSWORD'] ?? rolePasswordOf(ownerUrl);
  const template = `vibn_template_${randomBytes(6).toString('hex')}`;
  const admin = postgres(ownerUrl, { max: 1, onnotice: () => undefined });
  const close = async (): Promise<void> => {
    await admin.unsafe(`drop database if exists ${template}`).catch(() => undefined);
    await admin.end({ timeout: 1 });
    await server?.stop();
  };
  try {
    await admin.unsafe(`create database ${template}`);
    const url = new URL(ownerUrl);
    url.pathname = `/${template}`;
    await migrate({ url: url.toString(), rolePassword: password });
  } catch (error) {
    await close();
    throw error;
  }
  project.provide('postgresOwnerUrl', ownerUrl);
  project.provide('postgresRolePassword', password);
  project.provide('postgresTemplate', template);
  return close;
}

/** Roles belong to the whole server: runs at once must give them the same password, and nobody else may guess it. */
function rolePasswordOf(ownerUrl: string): string {
  return createHmac('sha256', ownerUrl).update('vibn test roles').digest('hex').slice(0, 24);
}

async function startServer() {
  const server = await startEmbeddedPostgres({
    dataDir: path.join(mkdtempSync(path.join(tmpdir(), 'vibn-test-')), 'data'),
    user: 'vibn_owner',
    password: randomBytes(12).toString('hex'),
    persistent: false,
    settings: { max_connections: '300', shared_buffers: '256MB', max_wal_size: '4GB', autovacuum_naptime: '5s' },
  });
  // However this process ends, the server ends with it.
  process.once('exit', () => {
    try {
      process.kill(server.pid, 'SIGQUIT');
    } catch {
      // It has gone already.
    }
  });
  return server;
}
