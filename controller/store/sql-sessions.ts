import type postgres from 'postgres';
import { createTurns, type Lane } from './turns.ts';

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
  /** In which lane it is lent; null: it is idle, or thrown away. */
  lane: Lane | null;
}

export interface Sessions {
  /**
   * Lends a session, an idle one or a new one, when it is the lane's turn; default: that of all who name none. Rejects with LaneFull, when the pool ends, or with what `onWait`
   * is told to leave the line with.
   */
  take(lane?: Lane, onWait?: (leave: (why: Error) => void) => void): Promise<Session>;
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

const ofAll: Lane = { name: '', atOnceMax: Infinity, waitingMax: Infinity };

/**
 * A pool of drivers with one connection each, none of which ever reconnects. postgres.js 3.4.9 has a pool of its own, but a connection
 * that closes with bytes unsent keeps them, and is stuck or sends garbage after it reconnects.
 */
export function createSessions(max: number, open: (onclose: () => void) => Driver): Sessions {
  const idle: Session[] = [];
  const all = new Set<Session>();
  const turns = createTurns(max);
  const waiting = new Set<(why: Error) => void>();
  let ended = false;

  const openOne = (): Session => {
    const held: Session = { incarnation: null, dead: false, lane: null, driver: open(() => discard(held)) };
    all.add(held);
    return held;
  };
  const endTurn = (held: Session): void => {
    const { lane } = held;
    held.lane = null;
    if (lane !== null && !ended) turns.end(lane);
  };
  const discard = (held: Session): void => {
    held.dead = true;
    if (!all.delete(held)) return;
    const index = idle.indexOf(held);
    if (index >= 0) idle.splice(index, 1);
    void held.driver.end({ timeout: 0 });
    endTurn(held);
  };
  return {
    take: (lane = ofAll, onWait = () => undefined) =>
      new Promise((resolve, reject) => {
        if (ended) throw new PoolEnded('the pool has ended');
        let leave: ((why: Error) => void) | null = null;
        let begun = false;
        const leaveLine = turns.enter(lane, () => {
          begun = true;
          if (leave !== null) waiting.delete(leave);
          const held = idle.pop() ?? openOne();
          held.lane = lane;
          resolve(held);
        });
        if (begun) return;
        leave = (why) => {
          if (leave !== null) waiting.delete(leave);
          if (leaveLine()) reject(why);
        };
        waiting.add(leave);
        onWait(leave);
      }),
    give: (session, how) => {
      if (!all.has(session)) return;
      if (how === 'lost' || session.dead) return discard(session);
      idle.push(session);
      endTurn(session);
    },
    refresh: (session) => {
      for (const held of idle.splice(0)) discard(held);
      if (session !== null) discard(session);
    },
    end: async (seconds) => {
      ended = true;
      for (const leave of waiting) leave(new PoolEnded('the pool has ended'));
      await Promise.all([...all].map((held) => held.driver.end({ timeout: seconds })));
    },
  };
}
