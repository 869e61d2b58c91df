import type postgres from 'postgres';
import { fail, ok } from './check.ts';
import type { Check, Finding } from './check.ts';
import type { DatabaseUrls } from './environment.ts';
import { sessionCheck } from './session.ts';

/** A table that holds what tenants own. */
export interface WalledTable {
  readonly table: string;
  readonly enabled: boolean;
  readonly forced: boolean;
}

export interface Policy {
  readonly table: string;
  readonly policy: string;
  readonly permissive: boolean;
  readonly roles: readonly string[];
  readonly condition: string;
}

export interface WallFacts {
  readonly tables: readonly WalledTable[];
  readonly policies: readonly Policy[];
  /** Rows of `resources` (at most 1) that vibn_api sees without a workspace. */
  readonly rowsWithoutWorkspace: number;
}

/** The second wall between tenants: row-level security, seen as vibn_api. */
export function wallChecks(urls: DatabaseUrls): readonly Check[] {
  const what = 'database: row-level security';
  const url = urls.logins.vibn_api;
  if (url === null) return [];
  return [sessionCheck({ what, url }, async (sql) => wallFindings(await readWalls(sql)))];
}

async function readWalls(sql: postgres.Sql): Promise<WallFacts> {
  const tables = await sql.unsafe<WalledTable[]>(`
    select c.relname as "table", c.relrowsecurity as enabled, c.relforcerowsecurity as forced
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'workspace' and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
      and has_any_column_privilege('vibn_api', c.oid, 'select, insert, update')
    order by 1`);
  const policies = await sql.unsafe<Policy[]>(`
    select c.relname as "table", p.polname as policy, p.polpermissive as permissive,
      (select json_agg(case when id = 0 then 'public' else pg_get_userbyid(id) end) from unnest(p.polroles) as id) as roles,
      concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) as condition
    from pg_policy p join pg_class c on c.oid = p.polrelid where c.relnamespace = 'public'::regnamespace order by 1, 2`);
  const rows = await sql.unsafe(`select 1 from resources limit 1`);
  return { tables, policies, rowsWithoutWorkspace: rows.length };
}

/** Whether each tenant table is walled, even for its owner, and no policy opens it. Pure. */
export function wallFindings({ tables, policies, rowsWithoutWorkspace }: WallFacts): readonly Finding[] {
  const what = 'database: row-level security';
  const findings: Finding[] = [];
  const open = tables.filter(({ enabled, forced }) => !enabled || !forced).map(({ table }) => table);
  if (tables.length === 0) findings.push(fail(what, 'there is no tenant table', 'Run npm run migrate.'));
  if (open.length > 0) {
    const remedy = `As the owner: ${open.map((table) => `alter table ${table} enable row level security, force row level security`).join('; ')}`;
    findings.push(fail(what, `not enabled and forced on ${open.join(', ')}`, remedy));
  }
  for (const { table, policy } of policies.filter(opensTenants)) {
    const fact = `policy ${policy} on ${table} lets vibn_api see other workspaces`;
    findings.push(fail(what, fact, `As the owner: drop policy ${policy} on ${table}`));
  }
  if (rowsWithoutWorkspace > 0) {
    const fact = 'vibn_api sees resources without a workspace';
    findings.push(fail(what, fact, 'Look at the policies on resources; migrations/ have the right ones.'));
  }
  return findings.length > 0 ? findings : [ok(what, `forced on ${tables.length} tenant tables`)];
}

function opensTenants({ permissive, roles, condition }: Policy): boolean {
  const applies = roles.includes('vibn_api') || roles.includes('public');
  return permissive && applies && !condition.includes('vibn.workspace');
}
