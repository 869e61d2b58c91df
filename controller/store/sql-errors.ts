import postgres from 'postgres';

/** The answer of a COMMIT (or of a writing statement of its own) was lost: nobody knows whether it took effect. */
export class CommitUnknown extends Error {
  override readonly name = 'CommitUnknown';
  /** Name of the statement or transaction. */
  readonly statement: string;
  constructor(statement: string, cause: unknown) {
    super(`The database did not say whether ${statement} was committed.`, { cause });
    this.statement = statement;
  }
}

/** The database did not answer within the deadline, retries included. Nothing was committed: the call may be repeated. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable';
  readonly statement: string;
  constructor(statement: string, cause: unknown) {
    super(`The database is not available (${statement}).`, { cause });
    this.statement = statement;
  }
}

/** The connection went while no statement was under way on it: nothing was sent. */
export class SessionGone extends Error {
  override readonly name = 'SessionGone';
  readonly code = 'CONNECTION_CLOSED';
  constructor() {
    super('The connection to the database is gone.');
  }
}

/**
 * What an error says about the statement that failed.
 * `aborted`: it was rolled back, and another try may succeed. `lost`: the connection went, so nobody knows.
 * `final`: rolled back, and another try would fail alike.
 */
export type Fate = 'aborted' | 'lost' | 'final';

/** What a standby answers, and a primary that was demoted: the address will lead to another server, this session never will. */
const readOnlyState = '25006';

/**
 * SQLSTATEs after which the same statement may succeed: conflicts, lock and statement timeouts, no connection free, server starting; the
 * disk full or memory short, which pass too and say nothing against the statement; its prepared name forgotten, which the driver notes.
 */
const abortedStates: ReadonlySet<string> = new Set([
  '40001',
  '40P01',
  '55P03',
  '57014',
  '53300',
  '57P03',
  '57P05',
  '25P03',
  '53100',
  '53200',
  '26000',
  readOnlyState,
]);

/** Where the server finds that a migration has changed the columns of a prepared answer: the driver notes that too. */
const replanRoutine = 'RevalidateCachedQuery';

/** Where they end the session, these came before anything was sent, or say that its transaction was rolled back. */
const endedBefore: ReadonlySet<string> = new Set(['53300', '57P03', '57P05', '25P03', '40001', readOnlyState]);

/**
 * Classes of SQLSTATEs that refuse a login for good: its password, its database, its rights or its settings. Whatever else ends a session
 * does not tell whether a COMMIT under way took effect: PgBouncer says all that befalls its servers in 08P01.
 */
const refusedLogin: ReadonlySet<string> = new Set(['28', '3D', '42', '22', '0A']);

/** SQLSTATEs that come of a lost connection however they are said. */
const lostStates: ReadonlySet<string> = new Set(['57P01', '57P02', '08000', '08003', '08006', '08007', '58000']);

/** Codes of the driver and of sockets that come before anything was sent. */
const unsentCodes: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EMFILE',
  'ENFILE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'CONNECT_TIMEOUT',
  '08001',
  '08004',
]);

/** Codes of the driver and of sockets that come after something may have been sent. */
const lostCodes: ReadonlySet<string> = new Set([
  'CONNECTION_CLOSED',
  'CONNECTION_DESTROYED',
  'CONNECTION_ENDED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
]);

/** The SQLSTATE or driver code of an error, or null. */
export function errorCode(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null;
  return typeof error.code === 'string' ? error.code : null;
}

/** Sorts an error of the driver by what became of the statement. */
export function fateOf(error: unknown): Fate {
  const code = errorCode(error);
  if (code === null) return 'final';
  if (endedSession(error)) {
    if (endedBefore.has(code)) return 'aborted';
    return refusedLogin.has(code.slice(0, 2)) ? 'final' : 'lost';
  }
  if (error instanceof postgres.PostgresError && error.routine === replanRoutine) return 'aborted';
  if (abortedStates.has(code) || unsentCodes.has(code)) return 'aborted';
  return lostStates.has(code) || lostCodes.has(code) ? 'lost' : 'final';
}

/** Whether the session is gone after this error, or of no more use: nothing more may be sent on it. */
export function sessionDied(error: unknown): boolean {
  if (errorCode(error) === readOnlyState) return true;
  return fateOf(error) === 'lost' || endedSession(error);
}

/** Said by the server, or by a pooler, with the end of the session. `severity_local` is in the server's language; some say nothing else. */
function endedSession(error: unknown): boolean {
  if (!(error instanceof postgres.PostgresError)) return false;
  return ['FATAL', 'PANIC'].includes(error.severity ?? error.severity_local);
}

/** Whether a batch holds a value that Postgres refuses (class 22: data; 23: constraint): the caller bisects. */
export function isDataError(error: unknown): boolean {
  return error instanceof postgres.PostgresError && /^2[23]/.test(error.code);
}
