import type postgres from 'postgres';

/** The driver with one connection, whatever its types are named. */
// oxlint-disable-next-line typescript/no-explicit-any -- the names of our types are not used
export type Driver = postgres.Sql<any>;

/** One connection of the pool, held by one call at a time. */
export interface Session {
  readonly driver: Driver;
  /** Of the server that it is connected to (sql-transaction.ts); null: not known to be connected. */
  incarnation: string | null;
  /** Its connection is gone, or must not be used again: nothing is sent on it any more. */
  dead: boolean;
}

export interface Sessions {
  /** Lends a session: an idle one, a new one, or the next to come back. Rejects only when the pool ends. */
  take(): Promise<Session>;
  /** Gives it back, or with `lost`, or if it is dead, throws it away. */
  give(session: Session, how: 'whole' | 'lost'): void;
  /** Throws away this session and all that are idle: what one has suffered, the others may have too. */
  refresh(session: Session | null): void;
  /** Ends all, those at work within `seconds`. */
  end(seconds: number): Promise<void>;
}

/** What a call waiting for a session meets when the pool ends. */
class PoolEnded extends Error {
  override readonly name = 'PoolEnded';
  readonly code = 'CONNECTION_ENDED';
}

/**
 * A pool of drivers with one connection each, none of which ever reconnects. postgres.js 3.4.9 has a pool of its own, but a connection
 * that closes with bytes unsent keeps them, and is stuck or sends garbage after it reconnects.
 */
export function createSessions(max: number, open: (onclose: () => void) => Driver): Sessions {
  const idle: Session[] = [];
  const all = new Set<Session>();
  const waiting: { resolve: (session: Session) => void; reject: (error: Error) => void }[] = [];
  let ended = false;

  const openOne = (): Session => {
    const held: Session = { incarnation: null, dead: false, driver: open(() => discard(held)) };
    all.add(held);
    return held;
  };
  const discard = (held: Session): void => {
    held.dead = true;
    if (!all.delete(held)) return;
    const index = idle.indexOf(held);
    if (index >= 0) idle.splice(index, 1);
    void held.driver.end({ timeout: 0 });
    const next = ended ? undefined : waiting.shift();
    next?.resolve(openOne());
  };
  return {
    take: () => {
      if (ended) return Promise.reject(new PoolEnded('the pool has ended'));
      const ready = idle.pop() ?? (all.size < max ? openOne() : null);
      if (ready !== null) return Promise.resolve(ready);
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    give: (session, how) => {
      if (!all.has(session)) return;
      if (how === 'lost' || session.dead) return discard(session);
      const next = waiting.shift();
      if (next === undefined) idle.push(session);
      else next.resolve(session);
    },
    refresh: (session) => {
      for (const held of idle.splice(0)) discard(held);
      if (session !== null) discard(session);
    },
    end: async (seconds) => {
      ended = true;
      for (const waiter of waiting.splice(0)) waiter.reject(new PoolEnded('the pool has ended'));
      await Promise.all([...all].map((held) => held.driver.end({ timeout: seconds })));
    },
  };
}
