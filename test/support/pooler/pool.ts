import { logIn, type Login } from './server-login.ts';
import type { Prepared } from './prepared.ts';
import { createServerSession, type Borrower, type ServerSession } from './server-session.ts';

export interface PoolOptions {
  readonly login: Login;
  /** Sessions at the server at most. */
  readonly sessionsMax: number;
  readonly intern: ((text: Buffer) => Prepared) | null;
}

/** The sessions of one login in one database. */
export interface Pool {
  /** What the server tells of itself. Rejects with what it says to the login. */
  welcome(): Promise<readonly Buffer[]>;
  /** Lends a session that somebody else had last: as soon as there is one. Resolves to null if the borrower has left by then. */
  lend(borrower: Borrower, left: () => boolean): Promise<ServerSession | null>;
  /** Takes one back after a transaction. */
  takeBack(session: ServerSession): void;
  end(): void;
}

/**
 * Lends the session that was given back last, so that what its borrower left behind is met; but never the one that the same borrower had
 * last: then another is opened in its place.
 */
export function createPool({ login, sessionsMax, intern }: PoolOptions): Pool {
  const idle: ServerSession[] = [];
  const all = new Set<ServerSession>();
  const waiting: { borrower: Borrower; lend: (session: ServerSession) => void; fail: (error: unknown) => void }[] = [];
  let opening = 0;
  let parameters: readonly Buffer[] | null = null;
  let ended = false;

  const drop = (session: ServerSession): void => {
    all.delete(session);
    const index = idle.indexOf(session);
    if (index >= 0) idle.splice(index, 1);
    serve();
  };
  const open = async (): Promise<ServerSession> => {
    opening += 1;
    try {
      const loggedIn = await logIn(login);
      parameters = loggedIn.parameters;
      const session = createServerSession(loggedIn, { intern, onClose: drop });
      all.add(session);
      if (ended) session.destroy();
      return session;
    } finally {
      opening -= 1;
      // A failure has left a place to whoever waits.
      serve();
    }
  };
  /** An idle session for this borrower, or a new one; null: all are at work. */
  const find = (borrower: Borrower): Promise<ServerSession> | ServerSession | null => {
    const index = idle.findLastIndex((session) => session.lastBorrower !== borrower);
    if (index >= 0) return idle.splice(index, 1)[0] ?? null;
    if (all.size + opening >= sessionsMax) {
      const own = idle.pop();
      if (own === undefined) return null;
      all.delete(own);
      own.destroy();
    }
    return open();
  };
  /** Serves who waits, first come, first served. */
  const serve = (): void => {
    for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
      const found = find(first.borrower);
      if (found === null) return;
      waiting.shift();
      Promise.resolve(found).then(first.lend, first.fail);
    }
  };

  return {
    welcome: async () => {
      if (parameters === null) {
        idle.push(await open());
        serve();
      }
      return parameters ?? [];
    },
    lend: async (borrower, left) => {
      const session = await new Promise<ServerSession>((resolve, reject) => {
        waiting.push({ borrower, lend: resolve, fail: reject });
        serve();
      });
      if (!left()) return session;
      idle.push(session);
      serve();
      return null;
    },
    takeBack: (session) => {
      if (!all.has(session)) return;
      idle.push(session);
      serve();
    },
    end: () => {
      ended = true;
      for (const { fail } of waiting.splice(0)) fail(new Error('the pooler has ended'));
      for (const session of all) session.destroy();
    },
  };
}
