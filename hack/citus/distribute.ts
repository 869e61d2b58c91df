/**
 * `npm run citus:distribute`: spreads the tables of a migrated database over a Citus cluster. DATABASE_URL is the owner's, on the
 * coordinator. Safe to repeat: it does what is missing, so it is run after each `npm run migrate`. See README.md beside it.
 */
import { parseArgs } from 'node:util';
import postgres from 'postgres';
import { loginRoles, rolePasswordsOf, type LoginRole, type RolePasswords } from '#controller/store/roles.ts';
import { checkWall, DistributeError, grantDefaults, type Did } from './shards.ts';
import { placements, tablesOf } from './tables.ts';

export interface DistributeOptions {
  /** The owner's, on the coordinator. */
  readonly url: string;
  /** `host:port` under which the workers reach the coordinator. Absent: as it is registered already. */
  readonly coordinator?: string;
  /** `host:port` of each worker, as the coordinator reaches it. Those already registered are left as they are. */
  readonly workers?: readonly string[];
  /** Physical shards of each distributed table. Fixed by the first run. */
  readonly shardCount?: number;
  /** What the coordinator logs in to the workers with, beside the owner's own. Absent: pg_dist_authinfo is left as it is. */
  readonly rolePassword?: RolePasswords;
  /** One line per step done. */
  readonly print?: (line: string) => void;
}

/** Of 64 values of `shard`; the hash leaves two of 32 empty, and up to 32 workers have something to do. */
export const shardCountDefault = 32;
const connectSeconds = 10;

/**
 * Settings of the login roles in this database, over those of controller/store/roles.ts.
 * - SET LOCAL reaches the workers: row-level security reads vibn.workspace there, and synchronous_commit matters there.
 * - A plan is made for known parameters: to Citus the shard is a parameter like any other, and a generic plan of a join is refused
 *   ("could not create distributed plan").
 */
const roleSettings = { 'citus.propagate_set_commands': 'local', plan_cache_mode: 'auto' } as const;

/** Brings a cluster to the state that the product needs. Answers what was done; an empty list: it was so already. */
export async function distribute(options: DistributeOptions): Promise<readonly string[]> {
  const done: string[] = [];
  const did = (line: string): void => {
    done.push(line);
    options.print?.(line);
  };
  const sql = postgres(options.url, { max: 1, connect_timeout: connectSeconds, onnotice: () => undefined });
  try {
    await checkDatabase(sql);
    await addExtension(sql, did);
    await writeAuthinfo(sql, options, did);
    await addNodes(sql, options, did);
    await placeTables(sql, options.shardCount ?? shardCountDefault, did);
    await grantDefaults(sql, did);
    await setLoginRoles(sql, did);
    await checkWall(sql);
    return done;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function checkDatabase(sql: postgres.Sql): Promise<void> {
  const [server] = await sql<{ citus: boolean }[]>`
    select exists (select from pg_available_extensions where name = 'citus') as citus`;
  if (server?.citus !== true)
    throw new DistributeError('This server has no Citus: DATABASE_URL must be the coordinator of a cluster.');
  const tables = await sql<{ name: string }[]>`
    select c.relname as name from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
      and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e')
    order by 1`;
  const present = new Set(tables.map((table) => table.name));
  const missing = Object.keys(placements).filter((table) => !present.has(table));
  if (missing.length > 0) throw new DistributeError(`Not there: ${missing.join(', ')}. Run npm run migrate first.`);
  const unknown = [...present].filter((table) => placements[table] === undefined);
  if (unknown.length > 0) {
    throw new DistributeError(
      `Without a placement: ${unknown.join(', ')}. Give each its line in hack/citus/tables.ts.`,
    );
  }
}

async function addExtension(sql: postgres.Sql, did: Did): Promise<void> {
  const found = await sql`select from pg_extension where extname = 'citus'`;
  if (found.length > 0) return;
  await sql`create extension citus`;
  did('extension citus');
}

/** Nodes log in to each other as the role of the session: with SCRAM the coordinator needs the password. */
async function writeAuthinfo(sql: postgres.Sql, { url, rolePassword }: DistributeOptions, did: Did): Promise<void> {
  if (rolePassword === undefined || Object.keys(rolePassword).length === 0) return;
  const owner = new URL(url);
  const passwords = new Map([[decodeURIComponent(owner.username), decodeURIComponent(owner.password)]]);
  for (const role of loginRoles) {
    const password = typeof rolePassword === 'string' ? rolePassword : rolePassword[role];
    if (password !== undefined) passwords.set(role, password);
  }
  for (const [role, password] of passwords) {
    if (password === '') continue;
    const authinfo = `password=${conninfoQuoted(password)}`;
    const written = await sql`
      insert into pg_dist_authinfo values (0, ${role}, ${authinfo})
      on conflict (rolename, nodeid) do update set authinfo = excluded.authinfo
      where pg_dist_authinfo.authinfo <> excluded.authinfo
      returning rolename`;
    if (written.length > 0) did(`password of ${role} for the workers`);
  }
}

const conninfoQuoted = (text: string): string => `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`;

async function addNodes(sql: postgres.Sql, { coordinator, workers = [] }: DistributeOptions, did: Did): Promise<void> {
  const nodes = await sql<{ address: string; groupid: number }[]>`
    select nodename || ':' || nodeport as address, groupid from pg_dist_node`;
  const known = new Map(nodes.map((node) => [node.address, node.groupid]));
  if (coordinator !== undefined && known.get(coordinator) !== 0) {
    const { host, port } = addressOf(coordinator);
    await sql`select citus_set_coordinator_host(${host}, ${port})`;
    did(`coordinator ${coordinator}`);
  }
  for (const worker of workers.filter((address) => !known.has(address))) {
    const { host, port } = addressOf(worker);
    await sql`select citus_add_node(${host}, ${port})`;
    did(`worker ${worker}`);
  }
  const [ready] = await sql<{ workers: number; coordinator: boolean }[]>`
    select count(*) filter (where groupid <> 0)::int as workers, coalesce(bool_or(groupid = 0), false) as coordinator
    from pg_dist_node where isactive and noderole = 'primary'`;
  if (ready?.coordinator !== true)
    throw new DistributeError('The cluster does not know its coordinator: give --coordinator host:port.');
  if (ready.workers === 0)
    throw new DistributeError('The cluster has no workers: give --worker host:port, once for each.');
}

function addressOf(text: string): { host: string; port: number } {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined)
    throw new DistributeError(`"${text}" is no address of a node: host:port is expected, e.g. worker1:5432.`);
  return { host, port: Number(port) };
}

/** A table that is distributed already stays as it is: moving it would be a decision, not a repetition. */
async function placeTables(sql: postgres.Sql, shardCount: number, did: Did): Promise<void> {
  const rows = await sql<{ name: string; type: string }[]>`
    select table_name::text as name, citus_table_type as type from citus_tables`;
  const types = new Map(rows.map((row) => [row.name, row.type]));
  for (const table of tablesOf('reference')) {
    if (types.get(table) === 'reference') continue;
    await sql`select create_reference_table(${table}::text::regclass)`;
    did(`${table}: reference`);
  }
  const [anchor = '', ...others] = tablesOf('distributed');
  if (types.get(anchor) !== 'distributed') {
    await sql`select create_distributed_table(${anchor}::text::regclass, 'shard', shard_count => ${shardCount}::int, colocate_with => 'none')`;
    did(`${anchor}: distributed by shard, ${shardCount} shards`);
  }
  for (const table of others.filter((name) => types.get(name) !== 'distributed')) {
    await sql`select create_distributed_table(${table}::text::regclass, 'shard', colocate_with => ${anchor})`;
    did(`${table}: distributed, beside ${anchor}`);
  }
}

/** Settings of the login roles in the current database, which a copy of a database does not take along. */
export async function setLoginRoles(sql: postgres.Sql, did: Did): Promise<void> {
  const rows = await sql<{ role: LoginRole; settings: string[] }[]>`
    select r.rolname as role, s.setconfig as settings
    from pg_db_role_setting s join pg_roles r on r.oid = s.setrole join pg_database d on d.oid = s.setdatabase
    where d.datname = current_database()`;
  const [database] = await sql<{ name: string }[]>`select quote_ident(current_database()) as name`;
  const present = new Map(rows.map((row) => [row.role, new Set(row.settings)]));
  for (const role of loginRoles) {
    for (const [name, value] of Object.entries(roleSettings)) {
      if (present.get(role)?.has(`${name}=${value}`) === true) continue;
      await sql.unsafe(`alter role ${role} in database ${database?.name} set ${name} = '${value}'`);
      did(`${role}: ${name} = ${value}`);
    }
  }
}

if (import.meta.main) await main();

async function main(): Promise<void> {
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  try {
    const done = await distribute({ ...readArguments(), print });
    print(done.length === 0 ? 'nothing to do' : `done: ${done.length} steps`);
  } catch (error) {
    process.stderr.write(`${error instanceof DistributeError ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}

function readArguments(): DistributeOptions {
  const { values } = parseArgs({
    options: {
      coordinator: { type: 'string' },
      worker: { type: 'string', multiple: true },
      shards: { type: 'string' },
    },
  });
  const url = process.env['DATABASE_URL'] ?? '';
  if (url === '')
    throw new DistributeError('DATABASE_URL is not set: postgres://owner:password@coordinator:5432/database.');
  const shardCount = Number(values.shards ?? shardCountDefault);
  if (!Number.isInteger(shardCount) || shardCount < 1 || shardCount > 64) {
    throw new DistributeError(`--shards ${values.shards}: 1 to 64, since the column shard has 64 values.`);
  }
  const { coordinator, worker: workers } = values;
  return {
    url,
    shardCount,
    rolePassword: rolePasswordsOf(process.env),
    ...(coordinator === undefined ? {} : { coordinator }),
    ...(workers === undefined ? {} : { workers }),
  };
}
