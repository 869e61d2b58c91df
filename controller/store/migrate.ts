import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import postgres from 'postgres';
import { systemClock, systemRng, type Clock, type Rng } from '#controller/clock.ts';
import { ensureRoles, type RolePasswords } from './roles.ts';
import { statementsOf } from './sql-script.ts';

export interface MigrateOptions {
  /** The owner's: creates roles, or is their admin. */
  readonly url: string;
  /** Of the login roles. Absent: passwords are left as they are. */
  readonly rolePassword?: RolePasswords;
  /** Absent: the repository's. */
  readonly directory?: string;
  /** One line per file. */
  readonly print?: (line: string) => void;
  readonly clock?: Clock;
  readonly rng?: Rng;
}

/** A condition that a person must mend; the message says how. */
export class MigrateError extends Error {
  override readonly name = 'MigrateError';
}

interface Migration {
  readonly name: string;
  readonly text: string;
  readonly checksum: string;
}

/** The oldest supported server; production runs 15 to 18. */
const serverVersionMin = 150_000;
/** Any constant of our own: the lock is per database. */
const lockKey = 7_204_266;
const connectSeconds = 10;

/**
 * Brings a database to the newest schema, with logins that may do no more in it than they need. Safe from many processes at once: one works, the rest wait and then find nothing to do.
 * Answers the names of the files applied now.
 */
export async function migrate(options: MigrateOptions): Promise<readonly string[]> {
  const migrations = await readMigrations(
    options.directory ?? path.join(import.meta.dirname, '..', '..', 'migrations'),
  );
  const sql = postgres(options.url, { max: 1, connect_timeout: connectSeconds, onnotice: () => undefined });
  try {
    await checkServer(sql, options.url);
    await sql`select pg_advisory_lock(${lockKey})`;
    await ensureRoles(sql, {
      passwords: options.rolePassword ?? {},
      clock: options.clock ?? systemClock,
      rng: options.rng ?? systemRng,
    });
    await refuseTemporary(sql);
    const applied = await readApplied(sql);
    for (const migration of migrations) checkUnchanged(migration, applied.get(migration.name));
    const waiting = migrations.filter((migration) => !applied.has(migration.name));
    for (const migration of waiting) {
      await apply(sql, migration);
      options.print?.(`applied ${migration.name}`);
    }
    return waiting.map((migration) => migration.name);
  } finally {
    // Ends the session, and with it the advisory lock.
    await sql.end({ timeout: 1 });
  }
}

/** The migration files in order. Throws MigrateError for a name off the pattern or a number used twice. */
export async function readMigrations(directory: string): Promise<readonly Migration[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).toSorted();
  const numbers = names.map((name) => name.slice(0, 4));
  names.forEach((name, index) => {
    if (!/^\d{4}_[a-z0-9_]+\.sql$/.test(name)) throw new MigrateError(`migrations/${name}: not 0000_name.sql.`);
    if (numbers[index - 1] === numbers[index]) {
      throw new MigrateError(`migrations/${name}: the number ${numbers[index]} is used twice.`);
    }
  });
  return await Promise.all(
    names.map(async (name) => {
      const text = await readFile(path.join(directory, name), 'utf8');
      return { name, text, checksum: createHash('sha256').update(text).digest('hex') };
    }),
  );
}

async function checkServer(sql: postgres.Sql, url: string): Promise<void> {
  const [row] = await sql<{ version: number }[]>`
    select current_setting('server_version_num')::int as version`.catch((error: unknown) => {
    throw new MigrateError(`Cannot use DATABASE_URL (${withoutPassword(url)}): ${String(error)}`, { cause: error });
  });
  if (row === undefined || row.version < serverVersionMin) {
    throw new MigrateError(`The server is version ${row?.version}; Postgres 15 to 18 is needed.`);
  }
}

/**
 * No login may make temporary tables: with one, whoever may read may also fill the disk, and a table of theirs may stand before one of ours.
 * Everybody may by default, and what a role may do with a database is in no dump and no copy of it, so it is in no migration either.
 */
async function refuseTemporary(sql: postgres.Sql): Promise<void> {
  const [open] = await sql<{ name: string }[]>`
    select quote_ident(current_database()) as name where has_database_privilege('vibn_api', current_database(), 'temporary')`;
  if (open !== undefined) await sql.unsafe(`revoke temporary on database ${open.name} from public`);
}

async function readApplied(sql: postgres.Sql): Promise<ReadonlyMap<string, string>> {
  await sql`
    create table if not exists schema_migrations (
      name text primary key, checksum text not null, applied_at timestamptz not null)`;
  const rows = await sql<{ name: string; checksum: string }[]>`select name, checksum from schema_migrations`;
  return new Map(rows.map((row) => [row.name, row.checksum]));
}

function checkUnchanged(migration: Migration, checksum: string | undefined): void {
  if (checksum === undefined || checksum === migration.checksum) return;
  throw new MigrateError(
    `migrations/${migration.name} was edited after it was applied to this database. Restore it and put the change in a new file.`,
  );
}

async function apply(sql: postgres.Sql, migration: Migration): Promise<void> {
  try {
    await sql.begin(async (tx) => {
      for (const statement of statementsOf(migration.text)) await tx.unsafe(statement).simple();
      await tx`insert into schema_migrations values (${migration.name}, ${migration.checksum}, statement_timestamp())`;
    });
  } catch (error) {
    throw new MigrateError(`migrations/${migration.name} failed and was rolled back: ${String(error)}`, {
      cause: error,
    });
  }
}

/** A database URL fit for a message. */
function withoutPassword(url: string): string {
  try {
    const parsed = new URL(url);
    parsed.password = '';
    return parsed.toString();
  } catch {
    return 'not a URL; postgres://user:password@host:5432/database is expected';
  }
}
