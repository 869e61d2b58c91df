import type postgres from 'postgres';
import type { Clock, Rng } from '#controller/clock.ts';
import { errorCode } from './sql-errors.ts';

/** Processes log in as these, never by SET ROLE (architecture §8). What each may do stands in migrations/0006_roles.sql. */
export const loginRoles = ['vibn_api', 'vibn_platform', 'vibn_controller'] as const;
export type LoginRole = (typeof loginRoles)[number];

/** One for all login roles, or one for each: then a process that holds its own can not log in as another. */
export type RolePasswords = string | Readonly<Partial<Record<LoginRole, string>>>;

/** VIBN_DB_ROLE_PASSWORD for all login roles; VIBN_DB_ROLE_PASSWORD_API, _PLATFORM, _CONTROLLER before it for their own. */
export function rolePasswordsOf(env: Readonly<Partial<Record<string, string>>>): RolePasswords {
  return Object.fromEntries(
    loginRoles.flatMap((role) => {
      const own = env[`VIBN_DB_ROLE_PASSWORD_${role.replace('vibn_', '').toUpperCase()}`];
      const password = own ?? env['VIBN_DB_ROLE_PASSWORD'];
      return password === undefined ? [] : [[role, password]];
    }),
  );
}

/**
 * Settings sit on roles, not in startup parameters, which poolers refuse. Statements are written to have one good plan: planning one
 * anew for each set of parameters, or compiling it, costs more than running it (write_rows: 1.8 ms to plan, 0.7 to run). Those of
 * every pass have their index; a plan made while a table was empty, and kept until the first analyze, would read all of the table instead:
 * the first passes over 16,000 new rows were half as fast.
 */
const settings = {
  plan_cache_mode: 'force_generic_plan',
  jit: 'off',
  enable_seqscan: 'off',
  lock_timeout: '2s',
  statement_timeout: '5s',
  idle_in_transaction_session_timeout: '5s',
} as const;

/**
 * Roles belong to the whole server, while the advisory lock of `migrate` is per database: two databases migrated at once collide
 * with these codes (duplicate object, unique violation, "tuple concurrently updated"), and the loser tries again.
 */
const collisions: ReadonlySet<string> = new Set(['42710', '23505', 'XX000', '40001', '40P01']);
const triesMax = 20;
const pauseMs = 50;

interface RolesInput {
  /** Roles without one keep theirs. */
  readonly passwords: RolePasswords;
  readonly clock: Clock;
  readonly rng: Rng;
}

/** Makes the group vibn_migrator (with the current user in it) and the login roles, or brings them up to date. */
export async function ensureRoles(sql: postgres.Sql, input: RolesInput): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await sql.begin((tx) => writeRoles(tx, input.passwords));
      return;
    } catch (error) {
      if (tries === triesMax || !collisions.has(errorCode(error) ?? '')) throw error;
      await input.clock.sleep(input.rng.next() * pauseMs);
    }
  }
}

async function writeRoles(tx: postgres.TransactionSql, passwords: RolePasswords): Promise<void> {
  const rows = await tx<{ name: string; settings: string[] | null; member: boolean }[]>`
    select rolname as name, rolconfig as settings, pg_has_role(current_user, oid, 'member') as member
    from pg_roles where rolname in ('vibn_migrator', ${tx.unsafe(loginRoles.map((role) => `'${role}'`).join(', '))})`;
  const known = new Map(rows.map((row) => [row.name, row]));

  if (!known.has('vibn_migrator')) await tx`create role vibn_migrator nologin`;
  if (known.get('vibn_migrator')?.member !== true) await tx`grant vibn_migrator to current_user`;
  for (const role of loginRoles) {
    if (!known.has(role)) await tx.unsafe(`create role ${role} login`);
    const password = typeof passwords === 'string' ? passwords : passwords[role];
    if (password !== undefined) await tx.unsafe(`alter role ${role} login password ${quoted(password)}`);
    const present = new Set(known.get(role)?.settings);
    for (const [name, value] of Object.entries(settings)) {
      if (!present.has(`${name}=${value}`)) await tx.unsafe(`alter role ${role} set ${name} = '${value}'`);
    }
  }
}

function quoted(text: string): string {
  if (text.includes('\0') || text.includes('\\')) throw new RangeError('VIBN_DB_ROLE_PASSWORD: no "\\" and no NUL.');
  return `'${text.replaceAll("'", "''")}'`;
}
