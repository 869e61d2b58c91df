import type postgres from 'postgres';

/** What Citus does not carry from a table to its shards, and whether the wall between tenants stands on them. */

/** Told of each step done. */
export type Did = (line: string) => void;

/** A condition that a person must mend; the message says how. */
export class DistributeError extends Error {
  override readonly name = 'DistributeError';
}

/**
 * Citus names every column with a default in the INSERT that it sends to a shard, so a role that may insert some columns needs these too,
 * on the shards alone: the coordinator checks what the role itself named. A shard that is moved loses them: run this again.
 */
export async function grantDefaults(sql: postgres.Sql, did: Did): Promise<void> {
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

/** The second wall between tenants stands on the workers too: each shard of a table with row-level security has it, forced. */
export async function checkWall(sql: postgres.Sql): Promise<void> {
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
