import type { LoggedIn } from './server-login.ts';
import { batchingWriter, cutMessages, idleStatus, messageOf } from './messages.ts';
import { namedIn, parsedOf, renamed, type Prepared } from './prepared.ts';

/** The client that a session is lent to. */
export interface Borrower {
  /** Its prepared statements, by its own names for them. */
  readonly statements: Map<string, Prepared>;
  write(message: Buffer): void;
  /** Its transaction is over: the session is somebody else's. */
  released(): void;
  /** The session ended in its hands. */
  lost(): void;
}

/** A session at the server, lent for one transaction at a time. Nothing is reset between: what a client sets stays behind. */
export interface ServerSession {
  /** Who had it last. */
  readonly lastBorrower: Borrower | null;
  lend(borrower: Borrower): void;
  /** Passes on a message of the borrower's. */
  send(type: string, message: Buffer): void;
  destroy(): void;
}

export interface ServerSessionOptions {
  /** Knows each statement once; null: prepared statements are passed on as they come, as PgBouncer did before 1.21. */
  readonly intern: ((text: Buffer) => Prepared) | null;
  readonly onClose: (session: ServerSession) => void;
}

/** An answer that is still to come. */
interface Awaited {
  /** The types of message that end it. */
  readonly ends: string;
  readonly how: 'pass' | 'swallow' | 'given';
  /** The statement that is there only if this succeeds. */
  readonly preparing: string | null;
}

const answerOf: Readonly<Record<string, string>> = {
  P: '1',
  B: '2',
  D: 'Tn',
  E: 'CIs',
  C: '3',
  S: 'Z',
  Q: 'Z',
  F: 'Z',
};
const given: Readonly<Record<string, Buffer>> = { 1: messageOf('1'), 3: messageOf('3') };

export function createServerSession({ socket }: LoggedIn, options: ServerSessionOptions): ServerSession {
  const write = batchingWriter(socket);
  const awaited: Awaited[] = [];
  const prepared = new Set<string>();
  let borrower: Borrower | null = null;
  let last: Borrower | null = null;
  /** After an error the server ignores all until Sync, and so do we. */
  let skipping = false;

  const pass = (type: string, message: Buffer, more: Partial<Awaited> = {}): void => {
    const ends = answerOf[type];
    if (ends !== undefined) awaited.push({ ends, how: 'pass', preparing: null, ...more });
    write(message);
  };
  const answerOurselves = (ends: string): void => {
    awaited.push({ ends, how: 'given', preparing: null });
    giveAnswers();
  };
  const giveAnswers = (): void => {
    while (awaited[0]?.how === 'given') borrower?.write(given[awaited.shift()?.ends ?? ''] ?? Buffer.alloc(0));
  };
  const prepare = (statement: Prepared, how: 'pass' | 'swallow'): void => {
    prepared.add(statement.name);
    pass('P', statement.parse, { how, preparing: statement.name });
  };
  const parse = (message: Buffer, intern: (text: Buffer) => Prepared): void => {
    const { name, text } = parsedOf(message);
    if (name === '') return pass('P', message);
    const statement = intern(text);
    borrower?.statements.set(name, statement);
    if (prepared.has(statement.name)) answerOurselves('1');
    else prepare(statement, 'pass');
  };
  const refer = (type: string, message: Buffer): void => {
    const statement = borrower?.statements.get(namedIn(type, message) ?? '');
    if (statement === undefined) return pass(type, message);
    if (!prepared.has(statement.name)) prepare(statement, 'swallow');
    pass(type, renamed(type, message, statement.name));
  };
  const forget = (message: Buffer): void => {
    const name = namedIn('C', message) ?? '';
    if (name === '') return pass('C', message);
    borrower?.statements.delete(name);
    answerOurselves('3');
  };

  /** Drops what the server will not answer after an error: all up to the next Sync. */
  const dropUntilSync = (): void => {
    while (awaited.length > 0 && awaited[0]?.ends !== 'Z') {
      const dropped = awaited.shift()?.preparing;
      if (typeof dropped === 'string') prepared.delete(dropped);
    }
  };
  const ready = (message: Buffer): void => {
    awaited.shift();
    borrower?.write(message);
    giveAnswers();
    if (awaited.length > 0 || message[5] !== idleStatus) return;
    const done = borrower;
    borrower = null;
    done?.released();
  };
  const hear = (type: string, message: Buffer): void => {
    if (type === 'E') {
      dropUntilSync();
      skipping = awaited.length === 0;
    }
    if (type === 'Z') return ready(message);
    const head = awaited[0];
    if (head?.how !== 'swallow' || !head.ends.includes(type)) borrower?.write(message);
    if (head === undefined || !head.ends.includes(type)) return;
    awaited.shift();
    giveAnswers();
  };

  const session: ServerSession = {
    get lastBorrower() {
      return last;
    },
    lend: (to) => {
      borrower = to;
      last = to;
      skipping = false;
    },
    send: (type, message) => {
      if (skipping && type !== 'S') return;
      skipping = false;
      const { intern } = options;
      if (intern === null) pass(type, message);
      else if (type === 'P') parse(message, intern);
      else if (type === 'B' || type === 'D') refer(type, message);
      else if (type === 'C') forget(message);
      else pass(type, message);
    },
    destroy: () => void socket.destroy(),
  };
  socket.on('data', cutMessages(hear));
  socket.on('error', () => undefined);
  socket.on('close', () => {
    options.onClose(session);
    borrower?.lost();
  });
  return session;
}
