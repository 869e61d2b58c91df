import postgres from 'postgres';
import type { RolePasswords } from '#controller/store/roles.ts';
import { distribute, setLoginRoles } from '#hack/citus/distribute.ts';
import { migrate } from '#controller/store/migrate.ts';
import { withDatabase } from './urls.ts';

/**
 * A Citus cluster as the tests' server: DATABASE_URL names a superuser's database on the coordinator in which the workers are registered.
 * They are reached from here under the same addresses and with the same login.
 *
 * A database of a cluster is one on each node. `create database … template` of all of them copies rows, shards and metadata alike, so a
 * clone costs the same as on one server; only what a role is set to in a database must be said again.
 */

/** Few: a test's rows fit into any number, and each is a table to copy. More than workers, so that shards of one worker exist. */
const shardCount = 4;

/** Owner's URLs of the workers of a Citus coordinator; none: a plain server. */
export async function workersOf(serverUrl: string): Promise<readonly string[]> {
  return await asOwner(serverUrl, async (sql) => {
    const [row] = await sql`select 1 from pg_extension where extname = 'citus'`;
    if (row === undefined) return [];
    const nodes = await sql<{ host: string; port: number }[]>`
      select nodename as host, nodeport as port from pg_dist_node where groupid <> 0 and noderole = 'primary' order by 1, 2`;
    return nodes.map(({ host, port }) => {
      const url = new URL(serverUrl);
      url.hostname = host;
      url.port = String(port);
      return url.toString();
    });
  });
}

/** Makes the template: migrated and distributed, closed to everyone so that nothing hinders its copying (Citus' own daemon would). */
export async function makeClusterTemplate(
  serverUrl: string,
  { workers, template, rolePassword }: { workers: readonly string[]; template: string; rolePassword: RolePasswords },
): Promise<void> {
  const nodes = [serverUrl, ...workers];
  await createOnAll(nodes, template, 'template0');
  for (const node of nodes) await asOwner(withDatabase(node, template), (sql) => sql`create extension citus`);
  const url = withDatabase(serverUrl, template);
  await migrate({ url, rolePassword });
  await distribute({
    url,
    coordinator: addressOf(serverUrl),
    workers: workers.map(addressOf),
    shardCount,
    rolePassword,
  });
  for (const node of nodes) {
    await asOwner(node, async (sql) => {
      await sql.unsafe(`alter database ${template} allow_connections false`);
      await sql`select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = ${template}`;
    });
  }
}

/** A clone of the template, ready for the login roles. */
export async function cloneOnAll(
  serverUrl: string,
  workers: readonly string[],
  clone: { name: string; template: string },
) {
  await createOnAll([serverUrl, ...workers], clone.name, clone.template);
  await asOwner(withDatabase(serverUrl, clone.name), (sql) => setLoginRoles(sql, () => undefined));
}

export async function dropOnAll(nodes: readonly string[], name: string): Promise<void> {
  await Promise.all(
    nodes.map((node) => asOwner(node, (sql) => sql.unsafe(`drop database if exists ${name} with (force)`))),
  );
}

async function createOnAll(nodes: readonly string[], name: string, template: string): Promise<void> {
  await Promise.all(
    nodes.map((node) => asOwner(node, (sql) => sql.unsafe(`create database ${name} template ${template}`))),
  );
}

async function asOwner<T>(url: string, body: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  try {
    return await body(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
}

const addressOf = (serverUrl: string): string => `${new URL(serverUrl).hostname}:${new URL(serverUrl).port || '5432'}`;
