import { randomBytes } from 'node:crypto';
import type postgres from 'postgres';
import { fail, ok } from './check.ts';
import type { Check, Finding } from './check.ts';
import type { DatabaseUrls } from './environment.ts';
import { databaseFailure, withSession } from './session.ts';

/** What two sessions at once show of the way to the server. */
export interface PoolerFacts {
  /** Two clients had the same server session, or one had two: transactions are pooled. */
  readonly pooled: boolean;
  /** Null: a prepared statement survived from one transaction to the next, with another client between; else why not. */
  readonly preparedLost: string | null;
}

/** How long LISTEN waits for its own NOTIFY. */
const hearMs = 2_000;
/** How long a transaction that occupies a server session is kept, should the pooler have only that one. */
const occupyMs = 1_000;

/** LISTEN past poolers, and prepared statements through them. */
export function poolerChecks(urls: DatabaseUrls): readonly Check[] {
  const { direct } = urls;
  const listening = 'database: LISTEN';
  const ways = new Map(Object.values(urls.logins).flatMap((url) => (url === null ? [] : [[new URL(url).host, url]])));
  return [
    ...(direct === null ? [] : [{ what: listening, run: (signal: AbortSignal) => lookAtSignals(direct, signal) }]),
    ...[...ways].map(([host, url]) => ({
      what: `database: prepared statements`,
      run: (signal: AbortSignal) => lookAtPooler(host, url, signal),
    })),
  ];
}

async function lookAtSignals(url: string, signal: AbortSignal): Promise<readonly Finding[]> {
  const what = 'database: LISTEN';
  try {
    return [listenFinding(await hearsItself(url, signal))];
  } catch (error) {
    return [databaseFailure(what, error)];
  }
}

/** Without signals everything still works, at the pace of the poll. Pure. */
export function listenFinding(heard: boolean): Finding {
  if (heard) return ok('database: LISTEN', 'hears its own NOTIFY');
  return fail(
    'database: LISTEN',
    `heard nothing of its own NOTIFY within ${hearMs / 1000} s`,
    'Set DATABASE_URL_DIRECT to the server itself: a pooler in transaction mode loses LISTEN, and every wake waits for a poll.',
  );
}

async function hearsItself(url: string, signal: AbortSignal): Promise<boolean> {
  const channel = `vibn_doctor_${randomBytes(6).toString('hex')}`;
  const word = randomBytes(6).toString('hex');
  let hear = (_heard: boolean): void => undefined;
  const heard = new Promise<boolean>((resolve) => (hear = resolve));
  const timer = setTimeout(() => hear(false), hearMs);
  const onNotify = (payload: string): void => (payload === word ? hear(true) : undefined);
  try {
    return await withSession({ url, signal, onNotify }, async (listener) => {
      await listener.unsafe(`listen ${channel}`);
      await withSession({ url, signal }, (sender) => sender.unsafe(`notify ${channel}, '${word}'`));
      return await heard;
    });
  } finally {
    clearTimeout(timer);
  }
}

async function lookAtPooler(host: string, url: string, signal: AbortSignal): Promise<readonly Finding[]> {
  try {
    const facts = await withSession({ url, signal }, (one) =>
      withSession({ url, signal }, async (other) => ({
        pooled: await sharesServer(one, other),
        preparedLost: await losesPrepared(one, other),
      })),
    );
    return [poolerFinding(host, facts)];
  } catch (error) {
    return [databaseFailure('database: prepared statements', error)];
  }
}

async function sharesServer(one: postgres.Sql, other: postgres.Sql): Promise<boolean> {
  const pidOf = async (sql: postgres.Sql): Promise<number | undefined> =>
    (await sql.unsafe<{ pid: number }[]>('select pg_backend_pid() as pid'))[0]?.pid;
  const pids = [await pidOf(one), await pidOf(other), await pidOf(one), await pidOf(other)];
  return pids[0] === pids[1] || pids[0] !== pids[2] || pids[1] !== pids[3];
}

/** Prepares in a transaction, lets another client occupy the server session that knows the statement, and executes it again. */
async function losesPrepared(one: postgres.Sql, other: postgres.Sql): Promise<string | null> {
  const [occupied, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const execute = (): Promise<unknown> => one.begin((tx) => tx`select ${1}::int + 1 as two`);
  const timer = setTimeout(released.resolve, occupyMs);
  try {
    await execute();
    const occupying = other.begin(async (tx) => {
      await tx`select ${1}::int + 2 as three`;
      occupied.resolve();
      await released.promise;
    });
    await Promise.race([occupied.promise, occupying]);
    await execute();
    released.resolve();
    await occupying;
    return null;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    // Does not exist; exists already.
    if (code === '26000' || code === '42P05') return code;
    throw error;
  } finally {
    released.resolve();
    clearTimeout(timer);
  }
}

/** Pure. */
export function poolerFinding(host: string, { pooled, preparedLost }: PoolerFacts): Finding {
  const what = 'database: prepared statements';
  if (preparedLost !== null) {
    return fail(
      what,
      `${host} loses them between transactions (${preparedLost})`,
      'Use PgBouncer 1.21 or newer with max_prepared_statements = 200, or connect to the server itself.',
    );
  }
  return ok(
    what,
    `survive at ${host}, ${pooled ? 'through a pooler of transactions' : 'no pooler of transactions between'}`,
  );
}
