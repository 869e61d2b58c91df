/**
 * The driver: postgres.js with named prepared statements behind two verbs, `run` and `transaction`.
 *
 * S1  One SQL statement, one file, one name: see statement.ts. Each is a TypeScript file that exports one function.
 * S2  A call has one deadline (5 s), retries included, and a connection of its own while it lasts. At the deadline its connection and
 *     all idle ones are thrown away: a black-holed network holds no later call. Calls at work are left to their own deadlines.
 * S3  What the server rolled back is tried again. What may have been committed is never repeated unless the statement is
 *     `repeatable`: it surfaces as CommitUnknown, or (`resolveCommit`) the server is asked what became of the transaction.
 * S4  After a lost connection nothing more is sent on it, and it is never used again: postgres.js 3.4.9 crashes the process when a
 *     rollback is written to a socket that is gone, never settles what was queued behind the statement that failed, and keeps unsent
 *     bytes for the next connection. So a transaction's body must await nothing but its own statements.
 * S5  A session that hangs in the midst of a statement because its client is frozen or gone is ended by any pool of the same login:
 *     until then its locks hold up everyone, and no timeout of the server's covers it (queries/end-stuck-sessions.ts).
 * S6  Types: int8 is a checked Number, timestamptz is ms since the epoch (both ways), JSON parameters are text.
 */
import postgres from 'postgres';
import { jittered, type Clock, type Rng } from '#controller/clock.ts';
import { endStuckSessions } from './queries/end-stuck-sessions.ts';
import { CommitUnknown, errorCode, fateOf, sessionDied, StoreUnavailable } from './sql-errors.ts';
import { createSessions, type Driver, type Session, type Sessions } from './sql-sessions.ts';
import { incarnation, send, type Timed, transact, TryAgain, type Tx, type XactName } from './sql-transaction.ts';
import { refusalOf, sqlTypes } from './sql-types.ts';
import { statement, type Param, type Runner, type StatementText } from './statement.ts';
import type { Lane } from './turns.ts';

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
  /** How long a session may hang in the midst of a statement, and how often that is looked for. */
  readonly stuckMs?: number;
  /** Metrics: `outcome` is "ok", an SQLSTATE or a driver code. */
  readonly onStatement?: (name: string, durationMs: number, outcome: string) => void;
}

export interface TransactionOptions {
  readonly resolveCommit?: boolean;
  readonly repeatable?: boolean;
  /** Where it waits for a connection; default: in the lane of all who name none. */
  readonly lane?: Lane;
}

export interface Sql extends Runner {
  /**
   * Runs `body` in a transaction. After a conflict it is run again, so it must have no effect outside, and it must await nothing but its
   * own statements (S4).
   * `resolveCommit`: a COMMIT whose answer was lost is looked up; the transaction is repeated only if it was rolled back.
   * `repeatable`: doing it twice is harmless, so it is simply repeated. Otherwise a lost COMMIT throws CommitUnknown.
   * Throws LaneFull if too many wait in its lane; nothing was sent then.
   */
  transaction<T>(name: string, body: (tx: Tx) => Promise<T>, options?: TransactionOptions): Promise<T>;
  end(): Promise<void>;
}

const deadlineMsDefault = 5_000;
/** As idle_in_transaction_session_timeout of the roles. */
const stuckMsDefault = 5_000;
/** First pause before a retry; doubles up to the greatest, with full jitter. */
const retryPauseMs = 5;
const retryPauseMsMax = 250;
const connectSeconds = 5;
/** How long `end` waits for calls at work. */
const endSeconds = 1;

/** What became of a transaction: $1 its number, $2 the incarnation that gave it. Null also where nobody can tell any more. */
const xactStatus = statement<[xid: string, incarnation: string], { status: string | null }>({
  name: 'xact_status',
  repeatable: true,
  text: `select case when ${incarnation} = $2::text then pg_xact_status($1::text::xid8) end as status`,
});

/** Opens a pool as one login. Connections are made when first needed. */
export function connect(options: SqlOptions): Sql {
  const deadlineMs = options.deadlineMs ?? deadlineMsDefault;
  const timed = meter(options);
  const sessions = createSessions(options.max, (onclose) => openDriver(options, onclose));

  /** One call: tries until it succeeds, fails for good, or the deadline is over (S2). */
  const call = async <T>(name: string, attempt: (session: Session) => Promise<T>, lane?: Lane): Promise<T> => {
    const state: CallState = { lane, over: false, leave: null, session: null };
    const cancel = options.clock.after(deadlineMs, () => {
      state.over = true;
      // Who waited in vain has suffered nothing from any connection.
      if (state.leave === null) sessions.refresh(state.session);
      else state.leave(new Error('no free connection within the deadline'));
    });
    try {
      for (let tries = 0; ; tries += 1) {
        const result = await lent(sessions, state, attempt);
        if (!(result instanceof TryAgain)) return result;
        if (state.over) throw new StoreUnavailable(name, result.cause);
        await options.clock.sleep(options.rng.next() * Math.min(retryPauseMs * 2 ** tries, retryPauseMsMax));
      }
    } finally {
      cancel();
    }
  };

  const run = <Row>(query: StatementText, params: readonly Param[]): Promise<readonly Row[]> =>
    call(query.name, async ({ driver }) => {
      const refusal = refusalOf(query, params);
      if (refusal !== null) throw refusal;
      try {
        return await timed(query.name, () => send<Row>(driver, query, params));
      } catch (error) {
        const fate = fateOf(error);
        if (fate === 'aborted' || (fate === 'lost' && query.repeatable)) throw new TryAgain(error);
        throw fate === 'lost' ? new CommitUnknown(query.name, error) : error;
      }
    });

  /** What became of a transaction whose COMMIT was lost: its old session may live on for a while. */
  const lookUp = async (xact: XactName): Promise<'committed' | 'aborted' | null> => {
    const until = options.clock.monotonic() + deadlineMs;
    for (;;) {
      const status = (await xactStatus({ run }, xact.xid, xact.incarnation).catch(() => []))[0]?.status;
      if (status === 'committed' || status === 'aborted') return status;
      if (status !== 'in progress' || options.clock.monotonic() > until) return null;
      await options.clock.sleep(retryPauseMsMax);
    }
  };

  const cancelWatch = watchStuck(options, { run });
  return {
    run,
    transaction: (name, body, { resolveCommit = false, repeatable = false, lane } = {}) => {
      const input = { name, body, timed, repeatable, lookUp: resolveCommit ? lookUp : null };
      return call(name, (session) => transact(session, input), lane);
    },
    end: () => {
      cancelWatch();
      return sessions.end(endSeconds);
    },
  };
}

/** Looks for stuck sessions again and again (S5); answers what ends it. A database that does not answer is looked at the next time. */
function watchStuck({ clock, rng, stuckMs = stuckMsDefault }: SqlOptions, runner: Runner): () => void {
  let over = false;
  let cancel = (): void => undefined;
  const look = async (): Promise<void> => {
    await endStuckSessions(runner, stuckMs).catch(() => undefined);
    if (!over) wait();
  };
  const wait = (): void => {
    cancel = clock.after(jittered(stuckMs, 0.2, rng.next()), () => void look());
  };
  wait();
  return () => {
    over = true;
    cancel();
  };
}

/** One call, retries included. */
interface CallState {
  readonly lane: Lane | undefined;
  /** Its deadline has passed. */
  over: boolean;
  /** Leaves the line for a connection; null: it does not wait for one. */
  leave: ((why: Error) => void) | null;
  session: Session | null;
}

/** A session when it is the lane's turn; null: that was not within the deadline. */
async function inTurn(sessions: Sessions, state: CallState): Promise<Session | null> {
  try {
    const session = await sessions.take(state.lane, (leave) => (state.leave = leave));
    if (!state.over) return session;
    sessions.give(session, 'whole');
    return null;
  } catch (error) {
    if (state.over) return null;
    throw error;
  } finally {
    state.leave = null;
  }
}

/** One attempt on a session lent for it. A retryable failure is a value; any other is thrown. */
async function lent<T>(
  sessions: Sessions,
  state: CallState,
  attempt: (session: Session) => Promise<T>,
): Promise<T | TryAgain> {
  const session = await inTurn(sessions, state);
  if (session === null) return new TryAgain(new Error('no free connection within the deadline'));
  state.session = session;
  try {
    const result = await attempt(session);
    sessions.give(session, 'whole');
    return result;
  } catch (error) {
    const cause = error instanceof TryAgain || error instanceof CommitUnknown ? error.cause : error;
    sessions.give(session, sessionDied(cause) ? 'lost' : 'whole');
    if (error instanceof TryAgain) return error;
    throw error;
  } finally {
    state.session = null;
  }
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

function openDriver(options: SqlOptions, onclose: () => void): Driver {
  return postgres(options.url, {
    max: 1,
    onclose,
    connect_timeout: connectSeconds,
    // Sessions end by failure or with the pool: never under a call that has just been lent one.
    max_lifetime: null,
    fetch_types: false,
    onnotice: () => undefined,
    connection: { application_name: options.role },
    types: sqlTypes,
  });
}

/** The same database as another login: user and password replaced. */
export function loginUrl(databaseUrl: string, user: string, password: string): string {
  const url = new URL(databaseUrl);
  url.username = encodeURIComponent(user);
  url.password = encodeURIComponent(password);
  return url.toString();
}
