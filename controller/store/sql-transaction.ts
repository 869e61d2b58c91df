import type postgres from 'postgres';
import { CommitUnknown, fateOf, SessionGone, sessionDied } from './sql-errors.ts';
import type { Driver, Session } from './sql-sessions.ts';
import { refusalOf } from './sql-types.ts';
import type { Param, Runner, StatementText } from './statement.ts';

export type Timed = <T>(name: string, send: () => Promise<T>) => Promise<T>;

/** A transaction under way. */
export interface Tx extends Runner {
  /**
   * SET LOCAL of what the row-level policies read, sent with BEGIN: before any statement. Throws a RangeError for anything but letters,
   * digits, "_" and "-".
   */
  setLocal(setting: 'vibn.workspace' | 'vibn.key', value: string): void;
  /**
   * The closing statements: sent together with COMMIT, so that locks are held for one round trip less. All are sent in the turn in which
   * `write` is called; it can no more prevent the COMMIT than by what it sends.
   */
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

/**
 * A query of the driver, 3.4.9 of which remembers the text of each `unsafe` one that ever failed, to name its origin: at every conflict, and
 * at every attempt while the database is away.
 */
function unremembered<Query extends object>(query: Query): Query {
  return Object.defineProperty(query, 'origin', { value: '' });
}

/** Sends one statement on a pool or a reserved session, prepared under a name of the driver's own. */
export async function send<Row>(
  session: Driver,
  query: StatementText,
  params: readonly Param[],
): Promise<readonly Row[]> {
  return await unremembered(session.unsafe<Row[]>(query.text, params as (string | number)[], { prepare: true }));
}

/**
 * Sends one statement of a transaction, in the order of the calls. The driver sends one again of whose plan or name the server knows no
 * more: the transaction is aborted by then, and it would be carried out behind the COMMIT, by itself. Its failure is told instead.
 */
async function sendOnce<Row>(
  reserved: Reserved,
  query: StatementText,
  params: readonly Param[],
): Promise<readonly Row[]> {
  const pending = unremembered(reserved.unsafe<Row[]>(query.text, params as (string | number)[], { prepare: true }));
  const notAgain = {
    get: () => undefined,
    set(this: { reject(error: unknown): void; cancelled: unknown }, error: unknown) {
      this.reject(error);
      this.cancelled = true;
    },
  };
  return await Object.defineProperty(pending, 'retried', notAgain).execute();
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
    session.incarnation ??= (await unremembered(session.driver.unsafe(`select ${incarnation} as incarnation`)))[0]?.[
      'incarnation'
    ];
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

/** COMMIT was not sent, or answered with ROLLBACK: nothing took effect, whatever the error says of its connection. */
function undone(error: unknown): Failure {
  return { fate: fateOf(error) === 'final' ? 'final' : 'aborted', error };
}

/** How far a transaction is. */
interface Progress {
  readonly settings: string[];
  begun: Promise<unknown> | null;
  /** What failed first. */
  failed: { readonly error: unknown } | null;
  /** Statements handed to the driver. */
  handed: number;
  closing: (() => Promise<unknown>) | null;
  /** COMMIT or ROLLBACK is on its way: what came behind it would be carried out by itself, or for the next that has the connection. */
  over: boolean;
}

function createTransaction<T>(reserved: Reserved, session: Session, input: TransactionInput<T>) {
  const progress: Progress = { settings: [], begun: null, failed: null, handed: 0, closing: null, over: false };
  const note = createNote(session, progress);
  const plain = (text: string) => note(() => unremembered(reserved.unsafe(text)).execute());
  const rollback = async (): Promise<void> => {
    progress.over = true;
    if (progress.begun === null || session.dead) return;
    await plain('rollback').catch(() => {
      session.dead = true;
    });
  };
  return {
    tx: createTx(reserved, { progress, note, plain, input }),
    /** What the body heard may be no more than its echo: nothing is carried out behind a BEGIN that failed (25P02). Null: none. */
    firstFailure: () => firstFailure(progress),
    /** A failure that the body swallowed has aborted the transaction all the same. */
    mustBeWhole: () => {
      if (progress.failed !== null) throw progress.failed.error;
    },
    rollback,
    /** Sends the closing statements and COMMIT together; rolls back where these were not all sent. Null: committed. */
    commit: async (): Promise<Failure | null> => {
      // Only a transaction whose name is known can be asked after.
      if (input.lookUp !== null) await progress.begun?.catch(() => undefined);
      const written = close(progress, input.name);
      if (progress.failed !== null) {
        const { error } = progress.failed;
        await rollback();
        // What the closing itself says of it is nearer to the cause.
        return undone(await written.then(() => error).catch((thrown: unknown) => thrown));
      }
      if (progress.begun === null) return null;
      progress.over = true;
      const committed = note(() =>
        input.timed(`commit_${input.name}`, () => unremembered(reserved.unsafe('commit')).execute()),
      );
      const results = await Promise.allSettled([progress.begun, written, committed]);
      const rejected = results.find((result) => result.status === 'rejected');
      if (rejected !== undefined) return { fate: fateOf(rejected.reason), error: rejected.reason };
      // The server ends an aborted transaction without an error: it answers ROLLBACK.
      return (await committed).command === 'COMMIT' ? null : undone(firstFailure(progress) ?? new SessionGone());
    },
    /** Names the transaction to `lookUp`; null: it never began. */
    xact: async (): Promise<XactName | null> => {
      const results = (await progress.begun?.catch(() => null)) as
        | readonly (readonly { readonly xid?: string }[])[]
        | null;
      const xid = results?.at(-1)?.[0]?.xid;
      return xid === undefined || session.incarnation === null ? null : { xid, incarnation: session.incarnation };
    },
    release: () => {
      if (!session.dead) reserved.release();
    },
  };
}

function firstFailure({ failed }: Progress): unknown {
  return failed?.error ?? null;
}

type Note = <R>(sending: () => Promise<R>) => Promise<R>;

/**
 * Nothing may go unhandled; after a failure nothing more is sent on a dead session (S4), and all that waits on it fails at once:
 * the driver forgets statements that it had queued behind the one that failed. The connection is asked after in the same turn in
 * which the driver writes to it: it ends the process if that is gone.
 */
function createNote(session: Session, progress: Progress): Note {
  const death = Promise.withResolvers<never>();
  death.promise.catch(() => undefined);
  return (sending) => {
    const sent = session.dead ? Promise.reject(new SessionGone()) : sending();
    const noted = Promise.race([sent, death.promise]);
    noted.catch((error: unknown) => {
      progress.failed ??= { error };
      if (!sessionDied(error)) return;
      session.dead = true;
      death.reject(error);
    });
    return noted;
  };
}

interface TxInput {
  readonly progress: Progress;
  readonly note: Note;
  readonly plain: (text: string) => Promise<unknown>;
  readonly input: Pick<TransactionInput<unknown>, 'name' | 'timed' | 'lookUp'>;
}

function createTx(reserved: Reserved, { progress, note, plain, input: { name, timed, lookUp } }: TxInput): Tx {
  /** One message: it costs no round trip of its own. The last of its results names the transaction, if it can be asked after. */
  const begin = (): void => {
    const asked = lookUp === null ? [] : ['select pg_current_xact_id()::text as xid'];
    progress.begun ??= plain(['begin', ...progress.settings, ...asked].join('; '));
  };
  return {
    run: (query, params) => {
      const tooLate = progress.over ? new Error(`${query.name} comes after the end of ${name}`) : null;
      const refusal = tooLate ?? refusalOf(query, params);
      if (refusal !== null) progress.failed ??= { error: refusal };
      if (progress.failed !== null) return Promise.reject(progress.failed.error);
      begin();
      progress.handed += 1;
      return note(() => timed(query.name, () => sendOnce(reserved, query, params)));
    },
    setLocal: (setting, value) => {
      if (progress.begun !== null) throw new Error(`${setting} is set before the first statement`);
      if (!/^[\w-]+$/.test(value)) throw new RangeError(`${setting} must be letters, digits, "_" or "-": ${value}`);
      progress.settings.push(`set local ${setting} = '${value}'`);
    },
    closeWith: (write) => {
      progress.closing = write;
    },
  };
}

/** Hands the closing statements to the driver. What it does not hand over at once would come behind the COMMIT. */
function close(progress: Progress, name: string): Promise<unknown> {
  const { closing, handed } = progress;
  if (closing === null) return Promise.resolve();
  const written = Promise.try(closing);
  written.catch(() => undefined);
  if (progress.handed === handed) progress.failed ??= { error: new Error(`${name} was closed by no statement`) };
  return written;
}
