/**
 * `npm run citus:distribute`: spreads the tables of a migrated database over a Citus cluster. DATABASE_URL is the owner's, on the
 * coordinator. Safe to repeat: it does what is missing, so it is run after each `npm run migrate`. See README.md beside it.
 */
import { parseArgs } from 'node:util';
import postgres from 'postgres';
import { loginRoles, rolePasswordsOf, type LoginRole, type RolePasswords } from '#controller/store/roles.ts';
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

/** A condition that a person must mend; the message says how. */
export class DistributeError extends Error {
  override readonly name = 'DistributeError';
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

type Did = (line: string) => void;

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

/**
 * Citus names every column with a default in the INSERT that it sends to a shard, so a role that may insert some columns needs these too,
 * on the shards alone: the coordinator checks what the role itself named. A shard that is moved loses them: run this again.
 */
async function grantDefaults(sql: postgres.Sql, did: Did): Promise<void> {
  const grants = await sql<{ name: string; role: string; columns: string }[]>`
    with partly as (
      select distinct a.attrelid, x.grantee from citus_tables t
      join pg_attribute a on a.attrelid = t.table_name and a.attacl is not null
      cross join aclexplode(a.attacl) x
      where x.privilege_type = 'INSERT' and not has_table_privilege(x.grantee, a.attrelid, 'insert')
    )
    select p.attrelid::regclass::text as name, p.grantee::regrole::text as role,
      string_agg(quote_ident(a.attname), ', ' order by a.attnum) as columns
    from partly p join pg_attribute a on a.attrelid = p.attrelid and a.atthasdef
    group by p.attrelid, p.grantee order by 1, 2`;
  for (const { name, role, columns } of grants) {
    const lacking = await onNodes(
      sql,
      `
      select count(*) from pg_class c cross join unnest('{${columns}}'::text[]) as column_name
      where ${isShardOf([name])} and not has_column_privilege('${role}', c.oid, column_name, 'insert')`,
    );
    if (lacking.every((count) => count === '0')) continue;
    const failed = await sql<{ result: string }[]>`
      select p.result from run_command_on_placements(${name}::text::regclass, ${`grant insert (${columns}) on %s to ${role}`}) p
      where not p.success limit 1`;
    if (failed[0] !== undefined)
      throw new DistributeError(`grant insert (${columns}) on the shards of ${name}: ${failed[0].result}`);
    did(`${name}: ${role} may insert defaults on the shards`);
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

/** The second wall between tenants stands on the workers too: each shard of a table with row-level security has it, forced. */
async function checkWall(sql: postgres.Sql): Promise<void> {
  const walled = await sql<{ name: string }[]>`
    select c.relname as name from pg_class c join citus_tables t on t.table_name = c.oid::regclass
    where c.relrowsecurity and c.relforcerowsecurity`;
  const open = await onNodes(
    sql,
    `
    select string_agg(c.relname, ', ') from pg_class c
    where ${isShardOf(walled.map((row) => row.name))} and not (c.relrowsecurity and c.relforcerowsecurity)`,
  );
  const found = open.filter((shards) => shards !== '');
  if (found.length > 0) throw new DistributeError(`Shards without row-level security: ${found.join(', ')}.`);

  // Citus 13 turns a restrictive policy into a permissive one on the shards: the widest hole a wall can have.
  const names = walled.map((row) => row.name);
  const policies = (table: string, where: string): string => `
    select coalesce(string_agg(distinct format('%s: %s %s %s %s using (%s) check (%s)', ${table}, p.policyname, p.permissive, p.roles, p.cmd,
      p.qual, p.with_check), E'\\n'), '') as found
    from pg_policies p join pg_class c on c.relname = p.tablename and c.relnamespace = 'public'::regnamespace where ${where}`;
  const [here] = await sql.unsafe<{ found: string }[]>(
    policies('p.tablename', `p.tablename in ('${names.join(`','`)}')`),
  );
  const wanted = new Set(here?.found.split('\n'));
  const there = await onNodes(sql, policies(`regexp_replace(p.tablename, '_[0-9]+$', '')`, isShardOf(names)));
  const odd = there.flatMap((text) => text.split('\n')).find((policy) => policy !== '' && !wanted.has(policy));
  if (odd !== undefined) throw new DistributeError(`A policy of the shards is not their table's: ${odd}.`);
}

/** Asks every node, the coordinator among them; one text of each. */
async function onNodes(sql: postgres.Sql, query: string): Promise<readonly string[]> {
  const rows = await sql<{ node: number; success: boolean; result: string }[]>`
    select nodeid as node, success, result from run_command_on_all_nodes(${query})`;
  const failed = rows.find((row) => !row.success);
  if (failed !== undefined) throw new DistributeError(`Node ${failed.node} says: ${failed.result}`);
  return rows.map((row) => row.result);
}

/** A condition on pg_class c: the physical tables of some, named with the number of the shard behind. */
const isShardOf = (tables: readonly string[]): string =>
  `c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and c.relname ~ '^(${tables.join('|')})_[0-9]+$'`;

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
