/**
 * The driver: postgres.js with named prepared statements behind two verbs, `run` and `transaction`.
 *
 * S1  One SQL statement, one file, one name: see statement.ts. Each is a TypeScript file that exports one function.
 * S2  A call has one deadline (5 s), retries included. At the deadline its pool is destroyed and rebuilt, since one black-holed
 *     socket would hold every later call on it.
 * S3  What the server rolled back is tried again. What may have been committed is never repeated unless the statement is
 *     `repeatable`: it surfaces as CommitUnknown, or (`resolveCommit`) the server is asked what became of the transaction.
 * S4  After a failure nothing more is sent on that session: postgres.js 3.4.9 crashes the process when a rollback is written to a
 *     socket that is gone, and hands dead connections out again when they are released.
 * S5  Types: int8 is a checked Number, timestamptz is ms since the epoch (both ways), JSON parameters are text.
 */
import postgres from 'postgres';
import type { Clock, Rng } from '#controller/clock.ts';
import { CommitUnknown, errorCode, fateOf, StoreUnavailable } from './sql-errors.ts';
import { send, transact, TryAgain, type Pool, type Timed, type Tx } from './sql-transaction.ts';
import { statement, type Param, type Runner, type StatementText } from './statement.ts';

export interface SqlOptions {
  readonly url: string;
  /** Shown in pg_stat_activity: "vibn_api". */
  readonly role: string;
  /** Connections of the pool. */
  readonly max: number;
  readonly clock: Clock;
  readonly rng: Rng;
  /** Of each call, retries included. */
  readonly deadlineMs?: number;
  /** Metrics: `outcome` is "ok", an SQLSTATE or a driver code. */
  readonly onStatement?: (name: string, durationMs: number, outcome: string) => void;
}

export interface TransactionOptions {
  readonly resolveCommit?: boolean;
  readonly repeatable?: boolean;
}

export interface Sql extends Runner {
  /**
   * Runs `body` in a transaction. After a conflict it is run again, so it must have no effect outside.
   * `resolveCommit`: a COMMIT whose answer was lost is looked up; the transaction is repeated only if it was rolled back.
   * `repeatable`: doing it twice is harmless, so it is simply repeated. Otherwise a lost COMMIT throws CommitUnknown.
   */
  transaction<T>(name: string, body: (tx: Tx) => Promise<T>, options?: TransactionOptions): Promise<T>;
  end(): Promise<void>;
}

const deadlineMsDefault = 5_000;
/** First pause before a retry; doubles up to the greatest, with full jitter. */
const retryPauseMs = 5;
const retryPauseMsMax = 250;
const connectSeconds = 5;

const xactStatus = statement<[xid: string], { status: string | null }>({
  name: 'xact_status',
  repeatable: true,
  text: `select pg_xact_status($1::text::xid8) as status`,
});

/** Opens a pool as one login. Connections are made when first needed. */
export function connect(options: SqlOptions): Sql {
  const deadlineMs = options.deadlineMs ?? deadlineMsDefault;
  const timed = meter(options);
  let pool = openPool(options);
  let ended = false;

  const rebuild = (broken: Pool): void => {
    if (broken !== pool || ended) return;
    pool = openPool(options);
    void broken.end({ timeout: 0 });
  };

  /** One call: tries until it succeeds, fails for good, or the deadline is over (S2). */
  const call = async <T>(name: string, attempt: (pool: Pool) => Promise<T>): Promise<T> => {
    const deadline = { over: false };
    const cancel = options.clock.after(deadlineMs, () => {
      deadline.over = true;
      rebuild(pool);
    });
    try {
      for (let tries = 0; ; tries += 1) {
        const result = await attempt(pool).catch(caught);
        if (!(result instanceof TryAgain)) return result;
        if (deadline.over || ended) throw new StoreUnavailable(name, result.cause);
        await options.clock.sleep(options.rng.next() * Math.min(retryPauseMs * 2 ** tries, retryPauseMsMax));
      }
    } finally {
      cancel();
    }
  };

  const run = <Row>(query: StatementText, params: readonly Param[]): Promise<readonly Row[]> =>
    call(query.name, async (pool) => {
      try {
        return await timed(query.name, () => send<Row>(pool, query, params));
      } catch (error) {
        const fate = fateOf(error);
        if (fate === 'aborted' || (fate === 'lost' && query.repeatable)) throw new TryAgain(error);
        throw fate === 'lost' ? new CommitUnknown(query.name, error) : error;
      }
    });

  /** What became of a transaction whose COMMIT was lost: its old session may live on for a while. */
  const lookUp = async (xid: string): Promise<'committed' | 'aborted' | null> => {
    const until = options.clock.monotonic() + deadlineMs;
    for (;;) {
      const status = (await xactStatus({ run }, xid).catch(() => []))[0]?.status;
      if (status === 'committed' || status === 'aborted') return status;
      if (status !== 'in progress' || options.clock.monotonic() > until) return null;
      await options.clock.sleep(retryPauseMsMax);
    }
  };

  return {
    run,
    transaction: (name, body, { resolveCommit = false, repeatable = false } = {}) =>
      call(name, (pool) => transact(pool, { name, body, timed, repeatable, lookUp: resolveCommit ? lookUp : null })),
    end: async () => {
      ended = true;
      await pool.end({ timeout: 1 });
    },
  };
}

/** A retryable failure as a value; any other is thrown on. */
function caught(error: unknown): TryAgain {
  if (error instanceof TryAgain) return error;
  throw error;
}

function meter({ clock, onStatement }: SqlOptions): Timed {
  if (onStatement === undefined) return (_name, send) => send();
  return async (name, send) => {
    const start = clock.monotonic();
    try {
      const result = await send();
      onStatement(name, clock.monotonic() - start, 'ok');
      return result;
    } catch (error) {
      onStatement(name, clock.monotonic() - start, errorCode(error) ?? 'error');
      throw error;
    }
  };
}

function openPool(options: SqlOptions): Pool {
  return postgres(options.url, {
    max: options.max,
    connect_timeout: connectSeconds,
    onnotice: () => undefined,
    connection: { application_name: options.role },
    types: {
      int8: { to: 20, from: [20], parse: checkedNumber, serialize: String },
      // Pure conversions between the text of a timestamptz and ms; no clock is read.
      timestamptz: {
        to: 1184,
        from: [1184],
        parse: (text: string) => Date.parse(text),
        serialize: (ms: number) => new Date(ms).toISOString(),
      },
      // Parameters are JSON text already: encoding them again would store a string.
      json: {
        to: 3802,
        from: [114, 3802],
        parse: (text: string) => JSON.parse(text),
        serialize: (text: string) => text,
      },
    },
  });
}

function checkedNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`int8 out of the safe range: ${text}`);
  return value;
}

/** The same database as another login: user and password replaced. */
export function loginUrl(databaseUrl: string, user: string, password: string): string {
  const url = new URL(databaseUrl);
  url.username = encodeURIComponent(user);
  url.password = encodeURIComponent(password);
  return url.toString();
}
