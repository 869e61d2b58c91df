import type postgres from 'postgres';
import type { LoginRole } from '#controller/store/roles.ts';
import { fail, ok, warn } from './check.ts';
import type { Check, Finding } from './check.ts';
import type { DatabaseUrls } from './environment.ts';
import { compareRights, ourTables } from './grants.ts';
import type { ColumnRights } from './grants.ts';
import { databaseFailure, withSession } from './session.ts';

/** What one login sees of itself. */
export interface LoginFacts {
  readonly user: string;
  readonly superuser: boolean;
  readonly bypassesRls: boolean;
  readonly createsRoles: boolean;
  readonly createsTables: boolean;
  /** Member of vibn_migrator, or owner of a table. */
  readonly owns: boolean;
  /** ms; 0: none. */
  readonly lockTimeoutMs: number;
  readonly statementTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly synchronousCommit: string;
  readonly isolation: string;
  readonly readOnly: boolean;
  readonly encrypted: boolean;
}

/** Each login connects, is who it should be, and may do what it should and no more. */
export function loginChecks(urls: DatabaseUrls, logins: readonly LoginRole[]): readonly Check[] {
  return logins.map((role) => ({
    what: `database: ${role}`,
    run: (signal) => lookAsLogin(role, urls.logins[role], signal),
  }));
}

async function lookAsLogin(role: LoginRole, url: string | null, signal: AbortSignal): Promise<readonly Finding[]> {
  const what = `database: ${role}`;
  if (url === null) return [fail(what, 'no URL to log in with', 'Mend the settings above.')];
  try {
    return await withSession({ url, signal }, async (sql) => {
      const facts = await readFacts(sql);
      const rights = await readRights(sql);
      return [...loginFindings(role, { facts, host: new URL(url).hostname }), ...rightsFindings(role, rights)];
    });
  } catch (error) {
    return [databaseFailure(what, error)];
  }
}

async function readFacts(sql: postgres.Sql): Promise<LoginFacts> {
  const [facts] = await sql.unsafe<LoginFacts[]>(`
    select current_user as "user", r.rolsuper as "superuser", r.rolbypassrls as "bypassesRls", r.rolcreaterole as "createsRoles",
      has_schema_privilege('public', 'create') as "createsTables",
      exists (select from pg_roles g where g.rolname = 'vibn_migrator' and pg_has_role(g.oid, 'member'))
        or exists (select from pg_class c where c.relnamespace = 'public'::regnamespace and c.relowner = r.oid) as "owns",
      (select setting::int from pg_settings where name = 'lock_timeout') as "lockTimeoutMs",
      (select setting::int from pg_settings where name = 'statement_timeout') as "statementTimeoutMs",
      (select setting::int from pg_settings where name = 'idle_in_transaction_session_timeout') as "idleTimeoutMs",
      current_setting('synchronous_commit') as "synchronousCommit",
      current_setting('default_transaction_isolation') as isolation,
      current_setting('default_transaction_read_only')::boolean as "readOnly",
      coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as encrypted
    from pg_roles r where r.rolname = current_user`);
  if (facts === undefined) throw new Error('The server does not list the login that is in use.');
  return facts;
}

async function readRights(sql: postgres.Sql): Promise<readonly ColumnRights[]> {
  return await sql.unsafe<ColumnRights[]>(`
    select c.relname as "table", a.attname as "column",
      has_column_privilege(c.oid, a.attnum, 'select') as "select",
      has_column_privilege(c.oid, a.attnum, 'insert') as "insert",
      has_column_privilege(c.oid, a.attnum, 'update') as "update",
      has_table_privilege(c.oid, 'delete') as "delete",
      has_table_privilege(c.oid, 'truncate, trigger') or has_any_column_privilege(c.oid, 'references') as "other"
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'f', 'v', 'm')
    order by 1, a.attnum`);
}

/** The timeouts that the design counts on (architecture §4, lock order), in ms. */
const timeouts = { lockTimeoutMs: 2_000, statementTimeoutMs: 5_000, idleTimeoutMs: 5_000 } as const;
const settingOf = {
  lockTimeoutMs: 'lock_timeout',
  statementTimeoutMs: 'statement_timeout',
  idleTimeoutMs: 'idle_in_transaction_session_timeout',
} as const;

/** Who the login is, and what its sessions are set to. Pure. */
export function loginFindings(
  role: LoginRole,
  { facts, host }: { readonly facts: LoginFacts; readonly host: string },
): readonly Finding[] {
  const what = `database: ${role}`;
  if (facts.user !== role) {
    return [
      fail(what, `the URL logs in as ${facts.user}`, `Use the login ${role}: the walls between tenants stand on it.`),
    ];
  }
  return [
    identity(what, facts),
    ...timeoutFindings(what, facts),
    ...sessionFindings(what, facts),
    ...tls(what, { facts, host }),
  ];
}

function identity(what: string, facts: LoginFacts): Finding {
  const powers = [
    ...(facts.superuser ? ['is a superuser'] : []),
    ...(facts.bypassesRls ? ['bypasses row-level security'] : []),
    ...(facts.createsRoles ? ['may make roles'] : []),
    ...(facts.createsTables ? ['may make tables'] : []),
    ...(facts.owns ? ['owns the schema or is in vibn_migrator'] : []),
  ];
  if (powers.length === 0) return ok(what, 'logs in, with no power over schema or roles');
  return fail(
    what,
    powers.join(', '),
    `As the owner: alter role ${facts.user} nosuperuser nobypassrls nocreaterole; revoke what else it says.`,
  );
}

function timeoutFindings(what: string, facts: LoginFacts): readonly Finding[] {
  const names = ['lockTimeoutMs', 'statementTimeoutMs', 'idleTimeoutMs'] as const;
  const wrong = names.filter((name) => facts[name] !== timeouts[name]);
  if (wrong.length === 0) return [ok(`${what} timeouts`, 'lock 2 s, statement 5 s, idle in transaction 5 s')];
  return wrong.map((name) => {
    const remedy = `Run npm run migrate, which sets ${settingOf[name]} to ${timeouts[name]} ms on the role; look for a pooler or a database that overrides it.`;
    if (facts[name] === 0) return fail(`${what} timeouts`, `${settingOf[name]} is off`, remedy);
    return warn(`${what} timeouts`, `${settingOf[name]} is ${facts[name]} ms`, remedy);
  });
}

function sessionFindings(what: string, facts: LoginFacts): readonly Finding[] {
  const findings: Finding[] = [];
  if (facts.isolation !== 'read committed') {
    const remedy = `alter role ${facts.user} set default_transaction_isolation = 'read committed'`;
    findings.push(fail(`${what} isolation`, `transactions are ${facts.isolation}`, remedy));
  }
  if (facts.readOnly) {
    const remedy = `alter role ${facts.user} set default_transaction_read_only = off, or use the primary's address`;
    findings.push(fail(`${what} writes`, 'transactions are read only', remedy));
  }
  findings.push(commitFinding(`${what} commits`, facts));
  return findings;
}

/** An announced effect that a crash of the server forgets may be sent twice. */
function commitFinding(what: string, { synchronousCommit, user }: LoginFacts): Finding {
  const remedy = `alter role ${user} set synchronous_commit = 'on'`;
  if (synchronousCommit === 'off') return fail(what, 'synchronous_commit is off: a crash forgets commits', remedy);
  const replicated = synchronousCommit !== 'local' && synchronousCommit !== 'remote_write';
  if (replicated) return ok(what, `synchronous_commit is ${synchronousCommit}`);
  return warn(what, `synchronous_commit is ${synchronousCommit}: a failover may forget commits`, remedy);
}

function tls(what: string, { facts, host }: { readonly facts: LoginFacts; readonly host: string }): readonly Finding[] {
  if (facts.encrypted || /^(localhost|127(\.\d+){3}|\[::1\]|)$/.test(host)) return [];
  return [
    warn(
      `${what} TLS`,
      `the session with ${host} is not encrypted`,
      'Add ?sslmode=require to the URL, or keep to a private network.',
    ),
  ];
}

const shownMax = 5;

/** What the login may do, against the list of grants.ts. Pure. */
export function rightsFindings(role: LoginRole, rows: readonly ColumnRights[]): readonly Finding[] {
  const what = `database: ${role} rights`;
  const present = new Set(rows.map(({ table }) => table));
  const absent = ourTables.filter((table) => !present.has(table));
  if (absent.length > 0) {
    return [fail(what, `there is no table ${shown(absent)}`, 'Run npm run migrate with this version.')];
  }
  const { extra, missing } = compareRights(role, rows);
  return [
    ...(extra.length === 0
      ? []
      : [fail(what, `it may also ${shown(extra)}`, `As the owner: revoke that from ${role}, its groups and public.`)]),
    ...(missing.length === 0
      ? []
      : [
          fail(
            what,
            `it may not ${shown(missing)}`,
            'Run npm run migrate with this version; if that changes nothing, grant it as migrations/ do.',
          ),
        ]),
    ...(extra.length + missing.length === 0 ? [ok(what, `exactly the grants of ${rows.length} columns`)] : []),
  ];
}

function shown(items: readonly string[]): string {
  const rest = items.length - shownMax;
  return items.slice(0, shownMax).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}
