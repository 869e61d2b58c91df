import type postgres from 'postgres';

/** The driver with one connection, whatever its types are named. */
// oxlint-disable-next-line typescript/no-explicit-any -- the names of our types are not used
export type Driver = postgres.Sql<any>;

/** One connection of the pool, held by one call at a time. */
export interface Session {
  readonly driver: Driver;
}

export interface Sessions {
  /** Lends a session: an idle one, a new one, or the next to come back. Rejects only when the pool ends. */
  take(): Promise<Session>;
  /** Gives it back, or with `lost` throws it away. */
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

interface Held extends Session {
  closed: boolean;
}

/**
 * A pool of drivers with one connection each, none of which ever reconnects. postgres.js 3.4.9 has a pool of its own, but a connection
 * that closes with bytes unsent keeps them, and is stuck or sends garbage after it reconnects.
 */
export function createSessions(max: number, open: (onclose: () => void) => Driver): Sessions {
  const idle: Held[] = [];
  const all = new Set<Held>();
  const waiting: { resolve: (session: Session) => void; reject: (error: Error) => void }[] = [];
  let ended = false;

  const openOne = (): Held => {
    const held: Held = { closed: false, driver: open(() => discard(held)) };
    all.add(held);
    return held;
  };
  const discard = (held: Held): void => {
    if (held.closed) return;
    held.closed = true;
    all.delete(held);
    const index = idle.indexOf(held);
    if (index >= 0) idle.splice(index, 1);
    void held.driver.end({ timeout: 0 });
    const next = ended ? undefined : waiting.shift();
    next?.resolve(openOne());
  };
  const find = (session: Session): Held | undefined => [...all].find((held) => held === session);

  return {
    take: () => {
      if (ended) return Promise.reject(new PoolEnded('the pool has ended'));
      const ready = idle.pop() ?? (all.size < max ? openOne() : null);
      if (ready !== null) return Promise.resolve(ready);
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
    give: (session, how) => {
      const held = find(session);
      if (held === undefined) return;
      if (how === 'lost') return discard(held);
      const next = waiting.shift();
      if (next === undefined) idle.push(held);
      else next.resolve(held);
    },
    refresh: (session) => {
      for (const held of idle.splice(0)) discard(held);
      const mine = session === null ? undefined : find(session);
      if (mine !== undefined) discard(mine);
    },
    end: async (seconds) => {
      ended = true;
      for (const waiter of waiting.splice(0)) waiter.reject(new PoolEnded('the pool has ended'));
      await Promise.all([...all].map((held) => held.driver.end({ timeout: seconds })));
    },
  };
}
