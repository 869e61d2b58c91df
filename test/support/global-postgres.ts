import { createHmac, randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import postgres from 'postgres';
import { migrate } from '#controller/store/migrate.ts';
import { startEmbeddedPostgres } from '#hack/embedded-postgres.ts';
import { dropOnAll, makeClusterTemplate, workersOf } from './cluster.ts';
import { imageNamed, startContainer } from './container-postgres.ts';
import { poolerNamed, startPooler } from './pooler/pooler.ts';
import { withDatabase } from './urls.ts';

declare module 'vitest' {
  interface ProvidedContext {
    postgresOwnerUrl: string;
    postgresRolePassword: string;
    postgresTemplate: string;
    /** Owner's URLs of the workers, where the server is a Citus coordinator. */
    citusWorkers: readonly string[];
    /** On 127.0.0.1, of the pooler that logins go through; 0: none. */
    poolerPort: number;
  }
}

interface Project {
  readonly config: { readonly env?: Readonly<Partial<Record<string, string>>> | undefined };
  provide(key: 'postgresOwnerUrl' | 'postgresRolePassword' | 'postgresTemplate', value: string): void;
  provide(key: 'citusWorkers', value: readonly string[]): void;
  provide(key: 'poolerPort', value: number): void;
}

/** Much is opened at once, and nothing must survive a crash. */
const settings = {
  max_connections: '300',
  shared_buffers: '256MB',
  max_wal_size: '4GB',
  autovacuum_naptime: '5s',
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
} as const;

/**
 * One server for the run, with a migrated template that each test file clones (test/support/postgres.ts): the embedded one, or with
 * `VIBN_TEST_POSTGRES=container:16` one in a container. `DATABASE_URL` set, a superuser's: that server is used, by any number of runs at
 * once. It keeps the login roles; the template and the clones are dropped. A Citus coordinator's is as good: its workers are found there (cluster.ts). `VIBN_TEST_POOLER`: logins go through a pooler
 * (test/support/pooler).
 */
// oxlint-disable-next-line import/no-default-export -- vitest asks for it
export default async function globalPostgres(project: Project): Promise<() => Promise<void>> {
  await using stack = new AsyncDisposableStack();
  const server = await findServer();
  stack.defer(() => server.stop());
  const rolePassword = process.env['VIBN_DB_ROLE_PASSWORD'] ?? rolePasswordOf(server.url);
  const template = `vibn_template_${randomBytes(6).toString('hex')}`;
  const workers = await workersOf(server.url);
  stack.defer(() => dropOnAll([server.url, ...workers], template));
  await (workers.length === 0
    ? makeTemplate(server.url, template, rolePassword)
    : makeClusterTemplate(server.url, { workers, template, rolePassword }));

  const name = poolerNamed(project.config.env?.['VIBN_TEST_POOLER'] ?? process.env['VIBN_TEST_POOLER']);
  const pooler = name === null ? null : stack.use(await startPooler(name, { serverUrl: server.url, rolePassword }));
  project.provide('postgresOwnerUrl', server.url);
  project.provide('postgresRolePassword', rolePassword);
  project.provide('postgresTemplate', template);
  project.provide('citusWorkers', workers);
  project.provide('poolerPort', pooler?.port ?? 0);
  const kept = stack.move();
  return () => kept.disposeAsync();
}

async function makeTemplate(serverUrl: string, template: string, rolePassword: string): Promise<void> {
  const admin = postgres(serverUrl, { max: 1, onnotice: () => undefined });
  await admin.unsafe(`create database ${template}`);
  await admin.end({ timeout: 1 });
  await migrate({ url: withDatabase(serverUrl, template), rolePassword });
}

/** Roles belong to the whole server: runs at once must give them the same password, and nobody else may guess it. */
function rolePasswordOf(ownerUrl: string): string {
  return createHmac('sha256', ownerUrl).update('vibn test roles').digest('hex').slice(0, 24);
}

async function findServer(): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const image = imageNamed(process.env['VIBN_TEST_POSTGRES']);
  const given = process.env['DATABASE_URL'];
  const account = { user: 'vibn_owner', password: randomBytes(12).toString('hex') };
  if (image !== null) return await startContainer(image, { ...account, settings });
  if (given !== undefined) return { url: given, stop: async () => undefined };
  const server = await startEmbeddedPostgres({
    dataDir: path.join(mkdtempSync(path.join(tmpdir(), 'vibn-test-')), 'data'),
    ...account,
    persistent: false,
    settings,
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
