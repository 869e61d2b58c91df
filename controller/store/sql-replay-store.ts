import { replayAsk } from './engine/replay-ask.ts';
import { replayCheck } from './engine/replay-check.ts';
import { replayCreate } from './engine/replay-create.ts';
import { replayFill } from './engine/replay-fill.ts';
import { replayFilled } from './engine/replay-filled.ts';
import { replayFinish } from './engine/replay-finish.ts';
import { replayLease } from './engine/replay-lease.ts';
import { replayNext } from './engine/replay-next.ts';
import { replayOpenShards } from './engine/replay-open-shards.ts';
import { replayRead, type ReplayColumns } from './engine/replay-read.ts';
import { replayWish } from './engine/replay-wish.ts';
import type { ReplayRow, ReplayStore } from './replay-store.ts';
import type { Signals } from './resource-store.ts';
import { beginRecorded } from './sql-recording.ts';
import type { Tx } from './sql-transaction.ts';
import type { Sql } from './sql.ts';

export interface SqlReplayStoreOptions {
  /** A pool logged in as vibn_controller; as vibn_platform all but the `engine*` methods are allowed. */
  readonly sql: Sql;
  readonly signals: Pick<Signals, 'signal'>;
}

/** Rows of one shard looked at in one statement. */
const pageMax = 1_000;
/** Tries to see a replay that the same request made at this very moment. */
const createTriesMax = 5;

/** ReplayStore on Postgres. Each statement touches one shard; what a replay is to ask next is read over all of them by an index. */
export function createSqlReplayStore(options: SqlReplayStoreOptions): ReplayStore {
  return { ...createWishes(options.sql), ...createEngine(options) };
}

type Wishes = Pick<ReplayStore, 'create' | 'get' | 'list' | 'setState'>;

function createWishes(sql: Sql): Wishes {
  const get = async (id: string): Promise<ReplayRow | null> => {
    const [row] = await replayRead(sql, id, 1);
    return row === undefined ? null : toReplay(row);
  };
  return {
    get,
    async create({ id, selector, ratePerSecond, createdBy, requestId }, recording) {
      const text = JSON.stringify(selector);
      const body = async (tx: Tx): Promise<{ id: string } | undefined> => {
        const record = await beginRecorded(tx, recording);
        const [made] = await replayCreate(tx, id, text, ratePerSecond, createdBy, requestId ?? null);
        if (made !== undefined) record();
        return made;
      };
      for (let tries = 0; tries < createTriesMax; tries += 1) {
        const made = await sql.transaction('create_replay', body, { resolveCommit: true });
        const replay = made === undefined ? null : await get(made.id);
        if (replay !== null) return replay;
      }
      throw new Error(`replay ${id} could not be read back`);
    },
    async list(limit) {
      return (await replayRead(sql, null, limit)).map(toReplay);
    },
    async setState(id, wish, recording) {
      const body = async (tx: Tx): Promise<void> => {
        const record = await beginRecorded(tx, recording);
        await replayWish(tx, id, wish);
        record();
      };
      await sql.transaction('wish_replay', body, { resolveCommit: true });
      return await get(id);
    },
  };
}

function toReplay(row: ReplayColumns): ReplayRow {
  const {
    rate_per_second: ratePerSecond,
    created_by: createdBy,
    created_at: createdAt,
    finished_at: finishedAt,
    ...rest
  } = row;
  return { ...rest, ratePerSecond, createdBy, createdAt, finishedAt };
}

type Engine = Pick<ReplayStore, 'engineLease' | 'engineFill' | 'engineAsk' | 'engineCheck'>;

function createEngine({ sql, signals }: SqlReplayStoreOptions): Engine {
  return {
    async engineLease(holder, leaseMs) {
      const [row] = await replayLease(sql, holder, leaseMs);
      if (row === undefined) return null;
      const { id, state, rate_per_second: ratePerSecond, filled_through: filledThrough } = row;
      return { id, state, ratePerSecond, filledThrough };
    },
    async engineFill({ id, shard, ranks, onceKinds }) {
      const text = JSON.stringify(ranks);
      let filled = 0;
      for (let after: string | null = ''; after !== null;) {
        const [page] = await replayFill(sql, shard, id, text, onceKinds, after, pageMax);
        filled += page?.noted ?? 0;
        after = page?.last ?? null;
      }
      await replayFilled(sql, id, shard);
      return filled;
    },
    async engineAsk({ id, count, rankPatienceMs }) {
      const items = Map.groupBy(await replayNext(sql, id, count, rankPatienceMs), (item) => item.shard);
      let asked = 0;
      for (const [shard, some] of items) {
        const uids = some.map((item) => item.uid);
        asked += (await replayAsk(sql, shard, id, uids)).length;
      }
      if (asked > 0) signals.signal([...items.keys()]);
      return asked;
    },
    async engineCheck(id) {
      for (const { shard } of await replayOpenShards(sql, id)) {
        for (let after: string | null = ''; after !== null;) {
          after = (await replayCheck(sql, shard, id, after, pageMax))[0]?.last ?? null;
        }
      }
      return (await replayFinish(sql, id))[0]?.remaining ?? 0;
    },
  };
}
