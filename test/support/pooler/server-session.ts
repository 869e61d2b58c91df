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

/** The answers that are still to come, in their order, and those between them that we give ourselves. */
function createAnswers(tell: (message: Buffer) => void, unprepared: (name: string) => void) {
  const awaited: Awaited[] = [];
  const giveOwn = (): void => {
    while (awaited[0]?.how === 'given') tell(given[awaited.shift()?.ends ?? ''] ?? Buffer.alloc(0));
  };
  /** After an error the server answers nothing until the next Sync. */
  const dropUntilSync = (): void => {
    while (awaited.length > 0 && awaited[0]?.ends !== 'Z') {
      const dropped = awaited.shift()?.preparing;
      if (typeof dropped === 'string') unprepared(dropped);
    }
  };
  return {
    none: () => awaited.length === 0,
    expect: (answer: Awaited): void => {
      awaited.push(answer);
      giveOwn();
    },
    /** Takes what the server says, and tells it unless it answers what the client did not ask. */
    hear: (type: string, message: Buffer): void => {
      if (type === 'E') dropUntilSync();
      const head = awaited[0];
      const ends = head?.ends.includes(type) ?? false;
      if (!ends || head?.how !== 'swallow') tell(message);
      if (!ends) return;
      awaited.shift();
      giveOwn();
    },
  };
}

/** What a borrower sends, with its names of prepared statements put into those of the server, which are prepared where they are not yet. */
function createTranslator(write: (message: Buffer) => void, tell: (message: Buffer) => void) {
  const prepared = new Set<string>();
  const answers = createAnswers(tell, (name) => prepared.delete(name));
  const pass = (type: string, message: Buffer): void => {
    const ends = answerOf[type];
    if (ends !== undefined) answers.expect({ ends, how: 'pass', preparing: null });
    write(message);
  };
  const answerOurselves = (ends: string): void => answers.expect({ ends, how: 'given', preparing: null });
  const prepare = (statement: Prepared, how: 'pass' | 'swallow'): void => {
    prepared.add(statement.name);
    answers.expect({ ends: '1', how, preparing: statement.name });
    write(statement.parse);
  };
  return {
    answers,
    pass,
    parse: (message: Buffer, statements: Map<string, Prepared>, intern: (text: Buffer) => Prepared): void => {
      const { name, text } = parsedOf(message);
      if (name === '') return pass('P', message);
      const statement = intern(text);
      statements.set(name, statement);
      if (prepared.has(statement.name)) answerOurselves('1');
      else prepare(statement, 'pass');
    },
    /** Bind and Describe. */
    refer: (type: string, message: Buffer, statements: Map<string, Prepared>): void => {
      const statement = statements.get(namedIn(type, message) ?? '');
      if (statement === undefined) return pass(type, message);
      if (!prepared.has(statement.name)) prepare(statement, 'swallow');
      pass(type, renamed(type, message, statement.name));
    },
    close: (message: Buffer, statements: Map<string, Prepared>): void => {
      const name = namedIn('C', message) ?? '';
      if (name === '') return pass('C', message);
      statements.delete(name);
      answerOurselves('3');
    },
  };
}

export function createServerSession({ socket }: LoggedIn, options: ServerSessionOptions): ServerSession {
  const { intern } = options;
  let borrower: Borrower | null = null;
  let last: Borrower | null = null;
  /** After an error the server ignores all until Sync, and so do we. */
  let skipping = false;
  const client = createTranslator(batchingWriter(socket), (message) => borrower?.write(message));

  const hear = (type: string, message: Buffer): void => {
    client.answers.hear(type, message);
    if (type === 'E') skipping = client.answers.none();
    if (type !== 'Z' || message[5] !== idleStatus || !client.answers.none()) return;
    const done = borrower;
    borrower = null;
    done?.released();
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
      if (borrower === null || (skipping && type !== 'S')) return;
      skipping = false;
      if (intern === null) client.pass(type, message);
      else if (type === 'P') client.parse(message, borrower.statements, intern);
      else if (type === 'B' || type === 'D') client.refer(type, message, borrower.statements);
      else if (type === 'C') client.close(message, borrower.statements);
      else client.pass(type, message);
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
