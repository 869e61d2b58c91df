import type postgres from 'postgres';
import { CommitUnknown, fateOf, sessionDied } from './sql-errors.ts';
import type { Driver } from './sql-sessions.ts';
import { statement, type Param, type Runner, type StatementText } from './statement.ts';

export type Timed = <T>(name: string, send: () => Promise<T>) => Promise<T>;

/** A transaction under way. */
export interface Tx extends Runner {
  /** SET LOCAL of what the row-level policies read. Throws a RangeError for anything but letters, digits, "_" and "-". */
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
  readonly lookUp: ((xid: string) => Promise<'committed' | 'aborted' | null>) | null;
}

/** The same transaction may be tried again: it was rolled back. */
export class TryAgain extends Error {
  override readonly name = 'TryAgain';
  constructor(cause: unknown) {
    super('rolled back', { cause });
  }
}

const currentXact = statement<[], { xid: string }>({
  name: 'current_xact',
  text: `select pg_current_xact_id()::text as xid`,
});

/** Sends one statement on a pool or a reserved session, prepared under a name of the driver's own. */
export async function send<Row>(
  session: Driver | InTransaction,
  query: StatementText,
  params: readonly Param[],
): Promise<readonly Row[]> {
  return await session.unsafe(query.text, params as (string | number)[], { prepare: true });
}

/**
 * One attempt of a transaction. COMMIT goes with the closing statement.
 * Throws TryAgain if it was rolled back, CommitUnknown if nobody knows, or what `body` threw after a rollback.
 */
export async function transact<T>(driver: Driver, input: TransactionInput<T>): Promise<T> {
  const session = await openTransaction(driver, input);
  const xid = input.lookUp === null ? null : session.note(currentXact(session.tx));
  let value: T;
  try {
    value = await input.body(session.tx);
    session.mustBeWhole();
  } catch (error) {
    await session.rollback();
    throw fateOf(error) === 'final' ? error : new TryAgain(error);
  }
  const failure = await session.commit();
  if (failure === null) return value;
  if (failure.fate === 'final') throw failure.error;
  if (failure.fate === 'aborted' || input.repeatable) throw new TryAgain(failure.error);
  const outcome = (await foundOut(input, xid)) ?? 'unknown';
  if (outcome === 'committed') return value;
  throw outcome === 'aborted' ? new TryAgain(failure.error) : new CommitUnknown(input.name, failure.error);
}

async function foundOut<T>(
  input: TransactionInput<T>,
  xid: Promise<readonly { xid: string }[]> | null,
): Promise<'committed' | 'aborted' | null> {
  const id = (await xid?.catch(() => null))?.[0]?.xid;
  return id === undefined ? null : ((await input.lookUp?.(id)) ?? null);
}

// oxlint-disable-next-line typescript/no-explicit-any -- the names of our types are not used
type InTransaction = postgres.TransactionSql<any>;

/**
 * A session inside a transaction; it is an ordinary one again when the server says that no transaction is open. The driver's own ending
 * (COMMIT in a round trip of its own; a ROLLBACK even on a dead socket, S4) is kept from running by a body that never ends.
 * Nothing was done yet when this fails, so any failure but a final one may be tried again.
 */
async function begin(driver: Driver): Promise<InTransaction> {
  const opened = Promise.withResolvers<InTransaction>();
  const endless = new Promise<never>(() => undefined);
  driver
    .begin((session) => {
      opened.resolve(session);
      return endless;
    })
    .catch((error: unknown) => opened.reject(fateOf(error) === 'final' ? error : new TryAgain(error)));
  return await opened.promise;
}

interface Failure {
  readonly fate: 'aborted' | 'lost' | 'final';
  readonly error: unknown;
}

async function openTransaction<T>(driver: Driver, { name, timed }: TransactionInput<T>) {
  const reserved = await begin(driver);
  let dead = false;
  let failed: { error: unknown } | null = null;
  let closing: (() => Promise<unknown>) | null = null;
  const death = Promise.withResolvers<never>();
  death.promise.catch(() => undefined);

  /**
   * Nothing may go unhandled; after a failure nothing more is sent on a dead session (S4), and all that waits on it fails at once:
   * the driver forgets statements that it had queued behind the one that failed.
   */
  const note = <R>(sent: Promise<R>): Promise<R> => {
    const noted = Promise.race([sent, death.promise]);
    noted.catch((error: unknown) => {
      failed ??= { error };
      if (!sessionDied(error)) return;
      dead = true;
      death.reject(error);
    });
    return noted;
  };
  const plain = (text: string): Promise<unknown> => note(reserved.unsafe(text).execute());
  const tx: Tx = {
    run: (query, params) => {
      if (failed !== null) return Promise.reject(failed.error);
      return note(timed(query.name, () => send(reserved, query, params)));
    },
    setLocal: (setting, value) => {
      if (!/^[\w-]+$/.test(value)) throw new RangeError(`${setting} must be letters, digits, "_" or "-": ${value}`);
      void plain(`set local ${setting} = '${value}'`);
    },
    closeWith: (write) => {
      closing = write;
    },
  };
  return {
    tx,
    note,
    /** A failure that the body swallowed has aborted the transaction all the same. */
    mustBeWhole: () => {
      if (failed !== null) throw failed.error;
    },
    rollback: async () => {
      if (!dead) await plain('rollback').catch(() => undefined);
    },
    /** Sends the closing statement and COMMIT together. Null: committed. */
    commit: async (): Promise<Failure | null> => {
      const written = closing === null ? null : note(closing());
      const committed = note(timed(`commit_${name}`, async () => await reserved.unsafe('commit')));
      const results = await Promise.allSettled([written, committed]);
      const rejected = results.find((result) => result.status === 'rejected');
      return rejected === undefined ? null : { fate: fateOf(rejected.reason), error: rejected.reason };
    },
  };
}
