import postgres from 'postgres';
import { fail, textOf } from './check.ts';
import type { Check, Finding } from './check.ts';

export interface SessionOptions {
  readonly url: string;
  /** Ends the session at once. */
  readonly signal: AbortSignal;
  /** Hears what is notified on channels that the session listens to. */
  readonly onNotify?: (payload: string) => void;
}

const connectSeconds = 4;

/** One connection for one look, closed after it. Prepares statements by name only in tagged queries, as the product's driver does. */
export async function withSession<T>(options: SessionOptions, look: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const settings = {
    max: 1,
    max_lifetime: null,
    fetch_types: false,
    connect_timeout: connectSeconds,
    onnotice: () => undefined,
    connection: { application_name: 'vibn_doctor' },
    // Not in the driver's types, but how its own `listen` hears.
    onnotify: (_channel: string, payload: string) => options.onNotify?.(payload),
  };
  const sql = postgres(options.url, settings);
  const end = (): void => void sql.end({ timeout: 0 });
  options.signal.addEventListener('abort', end, { once: true });
  try {
    return await look(sql);
  } finally {
    options.signal.removeEventListener('abort', end);
    await sql.end({ timeout: 0 });
  }
}

/** A look in a session of its own; what fails on the way is what came of it. */
export function sessionCheck(
  { what, url }: { readonly what: string; readonly url: string },
  look: (sql: postgres.Sql) => Promise<readonly Finding[]>,
): Check {
  const run: Check['run'] = async (signal) => {
    try {
      return await withSession({ url, signal }, look);
    } catch (error) {
      return [databaseFailure(what, error)];
    }
  };
  return { what, run };
}

const remedies: Readonly<Record<string, string>> = {
  '28P01': 'The password is wrong: run npm run migrate with the VIBN_DB_ROLE_PASSWORD that the URL has.',
  '28000': 'The server does not let this login in: run npm run migrate, which makes it, and look at pg_hba.conf.',
  '3D000': 'The database does not exist: create it, then run npm run migrate.',
  '53300': 'The server or the login has no free connection: raise max_connections, or put PgBouncer between.',
  '42501': 'The login lacks a right: run npm run migrate with this version.',
  '42P01': 'The schema is not there: run npm run migrate.',
  '57P03': 'The server is starting or stopping: run the doctor again.',
  '26000': 'A pooler loses prepared statements: PgBouncer 1.21 or newer with max_prepared_statements above 0.',
  '08P01': 'A pooler refuses a startup parameter: let application_name pass (ignore_startup_parameters).',
  ECONNREFUSED: 'Nothing listens there: check host and port, and that the server is started.',
  ENOTFOUND: 'The host has no address: check its name.',
  EAI_AGAIN: 'The host has no address: check its name and the resolver.',
  CONNECT_TIMEOUT: 'Nothing answers there: check host, port and firewall.',
};

/** A failure of a look at the database as a finding; the URL's password is in no message of the driver. */
export function databaseFailure(what: string, error: unknown): Finding {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const cause = error instanceof AggregateError ? error.errors[0] : error;
  return fail(what, textOf(cause), remedies[code] ?? 'Check the URL, and the server’s log.');
}
