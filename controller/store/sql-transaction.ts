import type postgres from 'postgres';
import { CommitUnknown, fateOf, SessionGone, sessionDied } from './sql-errors.ts';
import type { Driver, Session } from './sql-sessions.ts';
import type { Param, Runner, StatementText } from './statement.ts';

export type Timed = <T>(name: string, send: () => Promise<T>) => Promise<T>;

/** A transaction under way. */
export interface Tx extends Runner {
  /**
   * SET LOCAL of what the row-level policies read, sent with BEGIN: before any statement. Throws a RangeError for anything but letters,
   * digits, "_" and "-".
   */
  setLocal(setting: 'vibn.workspace' | 'vibn.key', value: string): void;
  /** The closing statement: sent together with COMMIT, so that locks are held for one round trip less. */
  closeWith(write: () => Promise<unknown>): void;
}

export interface TransactionInput<T> {
  readonly name: string;
  readonly body: (tx: Tx) => Promise<T>;
  readonly timed: Timed;
  /** Doing it twice is harmless: a lost COMMIT is simply tried again. */
  readonly repeatable: boolean;
  /** Asks on another connection what became of a transaction whose COMMIT was lost; null: nobody can tell. */
  readonly lookUp: ((xact: XactName) => Promise<'committed' | 'aborted' | null>) | null;
}

/** A transaction, named so that it is never mistaken for another. */
export interface XactName {
  readonly xid: string;
  /** The server, since its last start or crash. */
  readonly incarnation: string;
}

/**
 * What changes when numbers of transactions may be given a second time: those that were not on disk are, after a crash (whose recovery
 * resets all statistics, also where the postmaster lives on) and by a standby that takes over (whose start is another).
 */
export const incarnation = `(extract(epoch from pg_postmaster_start_time())::text || '/' ||
  coalesce(extract(epoch from pg_stat_get_bgwriter_stat_reset_time())::text, ''))`;

/** The same transaction may be tried again: it was rolled back. */
export class TryAgain extends Error {
  override readonly name = 'TryAgain';
  constructor(cause: unknown) {
    super('rolled back', { cause });
  }
}

/** Sends one statement on a pool or a reserved session, prepared under a name of the driver's own. */
export async function send<Row>(
  session: Driver,
  query: StatementText,
  params: readonly Param[],
): Promise<readonly Row[]> {
  return await session.unsafe(query.text, params as (string | number)[], { prepare: true });
}

/**
 * One attempt of a transaction. BEGIN goes with the first statement, COMMIT with the closing one.
 * Throws TryAgain if it was rolled back, CommitUnknown if nobody knows, or what `body` threw after a rollback.
 */
export async function transact<T>(session: Session, input: TransactionInput<T>): Promise<T> {
  const transaction = createTransaction(await reserve(session), session, input);
  try {
    let value: T;
    try {
      value = await input.body(transaction.tx);
      transaction.mustBeWhole();
    } catch (thrown) {
      const error = transaction.firstFailure() ?? thrown;
      await transaction.rollback();
      throw fateOf(error) === 'final' ? error : new TryAgain(error);
    }
    const failure = await transaction.commit();
    if (failure === null) return value;
    if (failure.fate === 'final') throw failure.error;
    if (failure.fate === 'aborted' || input.repeatable) throw new TryAgain(failure.error);
    const xact = await transaction.xact();
    const outcome = xact === null ? null : ((await input.lookUp?.(xact)) ?? null);
    if (outcome === 'committed') return value;
    throw outcome === 'aborted' ? new TryAgain(failure.error) : new CommitUnknown(input.name, failure.error);
  } finally {
    transaction.release();
  }
}

// oxlint-disable-next-line typescript/no-explicit-any -- the names of our types are not used
type Reserved = postgres.ReservedSql<any>;

/**
 * The session's connection for as long as a transaction lasts. What the driver queues on a reserved connection is forgotten with it,
 * where its pool would send it on the next one, outside of any transaction. Nothing was done yet when this fails, so any failure but a
 * final one may be tried again.
 */
async function reserve(session: Session): Promise<Reserved> {
  try {
    // Without type queries a connection that is still to be made can not be reserved: the driver forgets who waits for it. So it is made
    // by a question whose answer holds for as long as it lasts; behind a pooler it may grow old, which lookUp takes for "nobody can tell".
    session.incarnation ??= (await session.driver.unsafe(`select ${incarnation} as incarnation`))[0]?.['incarnation'];
    if (session.dead) throw new SessionGone();
    return await session.driver.reserve();
  } catch (error) {
    throw fateOf(error) === 'final' ? error : new TryAgain(error);
  }
}

interface Failure {
  readonly fate: 'aborted' | 'lost' | 'final';
  readonly error: unknown;
}

function createTransaction<T>(reserved: Reserved, session: Session, { name, timed, lookUp }: TransactionInput<T>) {
  const settings: string[] = [];
  let begun: Promise<unknown> | null = null;
  let failed: { error: unknown } | null = null;
  let closing: (() => Promise<unknown>) | null = null;
  const death = Promise.withResolvers<never>();
  death.promise.catch(() => undefined);

  /**
   * Nothing may go unhandled; after a failure nothing more is sent on a dead session (S4), and all that waits on it fails at once:
   * the driver forgets statements that it had queued behind the one that failed. The connection is asked after in the same turn in
   * which the driver writes to it: it ends the process if that is gone.
   */
  const note = <R>(sending: () => Promise<R>): Promise<R> => {
    const sent = session.dead ? Promise.reject(new SessionGone()) : sending();
    const noted = Promise.race([sent, death.promise]);
    noted.catch((error: unknown) => {
      failed ??= { error };
      if (!sessionDied(error)) return;
      session.dead = true;
      death.reject(error);
    });
    return noted;
  };
  const plain = (text: string): Promise<unknown> => note(() => reserved.unsafe(text).execute());
  /** One message: it costs no round trip of its own. The last of its results names the transaction, if it can be asked after. */
  const begin = (): void => {
    const asked = lookUp === null ? [] : ['select pg_current_xact_id()::text as xid'];
    begun ??= plain(['begin', ...settings, ...asked].join('; '));
  };
  const tx: Tx = {
    run: (query, params) => {
      begin();
      if (failed !== null) return Promise.reject(failed.error);
      return note(() => timed(query.name, () => send(reserved, query, params)));
    },
    setLocal: (setting, value) => {
      if (begun !== null) throw new Error(`${setting} is set before the first statement`);
      if (!/^[\w-]+$/.test(value)) throw new RangeError(`${setting} must be letters, digits, "_" or "-": ${value}`);
      settings.push(`set local ${setting} = '${value}'`);
    },
    closeWith: (write) => {
      closing = write;
    },
  };
  return {
    tx,
    /** What the body heard may be no more than its echo: nothing is carried out behind a BEGIN that failed (25P02). Null: none. */
    firstFailure: () => failed?.error ?? null,
    /** A failure that the body swallowed has aborted the transaction all the same. */
    mustBeWhole: () => {
      if (failed !== null) throw failed.error;
    },
    rollback: async () => {
      if (begun !== null && !session.dead) await plain('rollback').catch(() => undefined);
    },
    /** Sends the closing statement and COMMIT together. Null: committed. */
    commit: async (): Promise<Failure | null> => {
      // Only a transaction whose name is known can be asked after.
      if (lookUp !== null) await begun?.catch(() => undefined);
      const written = closing === null ? null : closing();
      written?.catch(() => undefined);
      if (begun === null) return null;
      const committed = note(() => timed(`commit_${name}`, async () => await reserved.unsafe('commit')));
      const results = await Promise.allSettled([begun, written, committed]);
      const rejected = results.find((result) => result.status === 'rejected');
      return rejected === undefined ? null : { fate: fateOf(rejected.reason), error: rejected.reason };
    },
    /** Names the transaction to `lookUp`; null: it never began. */
    xact: async (): Promise<XactName | null> => {
      const results = (await begun?.catch(() => null)) as readonly (readonly { readonly xid?: string }[])[] | null;
      const xid = results?.at(-1)?.[0]?.xid;
      return xid === undefined || session.incarnation === null ? null : { xid, incarnation: session.incarnation };
    },
    release: () => {
      if (!session.dead) reserved.release();
    },
  };
}
