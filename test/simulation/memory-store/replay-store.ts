import type { ReplayRow, ReplayStore } from '#controller/store/replay-store.ts';
import type { ResourceRow } from '#resources/resource.ts';
import { shardCount } from '#resources/shard.ts';
import { dueShiftMs } from '#controller/store/rows.ts';
import { shardTables, type MemoryDatabase, type MemoryReplay, type MemoryReplayItem } from './database.ts';
import { beginRecorded } from './recording.ts';
import { matches } from './resource-store.ts';

/** ReplayStore over a MemoryDatabase. */
export function createMemoryReplayStore(db: MemoryDatabase): ReplayStore {
  return { ...createWishMethods(db), ...createEngineMethods(db) };
}

type WishMethods = Pick<ReplayStore, 'create' | 'get' | 'list' | 'setState'>;

function createWishMethods(db: MemoryDatabase): WishMethods {
  return {
    async create({ id, selector, ratePerSecond, createdBy, requestId }, recording) {
      const record = beginRecorded(db, recording);
      const same = [...db.replays.values()].find(
        (one) => requestId !== undefined && one.requestId === requestId && one.row.createdBy === createdBy,
      );
      record();
      if (same !== undefined) return replayRow(same);
      const times = { createdAt: db.now(), finishedAt: null };
      const made: MemoryReplay = {
        row: {
          id,
          state: 'filling',
          selector,
          ratePerSecond,
          createdBy,
          ...times,
        },
        requestId: requestId ?? null,
        before: 'filling',
        filledThrough: -1,
        holder: null,
        leaseUntil: 0,
        items: new Map(),
      };
      db.replays.set(id, made);
      return replayRow(made);
    },
    async get(id) {
      const replay = db.replays.get(id);
      return replay === undefined ? null : replayRow(replay);
    },
    async list(limit) {
      return [...db.replays.values()].toReversed().slice(0, limit).map(replayRow);
    },
    async setState(id, wish, recording) {
      beginRecorded(db, recording)();
      const replay = db.replays.get(id);
      if (replay === undefined) return null;
      const changed = wished(replay, wish, db.now());
      db.replays.set(id, changed);
      return replayRow(changed);
    },
  };
}

function wished(replay: MemoryReplay, wish: 'suspend' | 'resume' | 'cancel', now: number): MemoryReplay {
  const { state } = replay.row;
  const running = state === 'filling' || state === 'running';
  if (wish === 'suspend' && running) return { ...replay, before: state, row: { ...replay.row, state: 'suspended' } };
  if (wish === 'resume' && state === 'suspended') return { ...replay, row: { ...replay.row, state: replay.before } };
  if (wish === 'cancel' && (running || state === 'suspended')) {
    return { ...replay, row: { ...replay.row, state: 'cancelled', finishedAt: now } };
  }
  return replay;
}

function replayRow({ row, items }: MemoryReplay): ReplayRow {
  const all = [...items.values()];
  const done = all.filter((item) => item.state === 'done');
  const reasons = new Map<string, number>();
  for (const item of done) {
    if (item.readyAfter) continue;
    const reason = item.reason ?? 'Unknown';
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  return {
    ...row,
    total: all.length,
    waiting: all.filter((item) => item.state === 'waiting').length,
    asked: all.filter((item) => item.state === 'asked').length,
    done: done.length,
    healed: done.filter((item) => item.readyAfter && !item.readyBefore).length,
    unchanged: done.filter((item) => item.readyAfter && item.readyBefore).length,
    failing: [...reasons].map(([reason, count]) => ({ reason, count })).sort((a, b) => b.count - a.count),
  };
}

type EngineMethods = Pick<ReplayStore, 'engineLease' | 'engineFill' | 'engineAsk' | 'engineCheck'>;

function createEngineMethods(db: MemoryDatabase): EngineMethods {
  return {
    async engineLease(holder, leaseMs) {
      const now = db.now();
      const free = [...db.replays.values()].find(
        (one) =>
          (one.row.state === 'filling' || one.row.state === 'running') &&
          (one.holder === null || one.holder === holder || one.leaseUntil <= now),
      );
      if (free === undefined) return null;
      const { id, state, ratePerSecond } = free.row;
      db.replays.set(id, { ...free, holder, leaseUntil: now + leaseMs });
      return { id, state, ratePerSecond, filledThrough: free.filledThrough };
    },
    async engineFill(input) {
      return fill(db, input);
    },
    async engineAsk(input) {
      return ask(db, input);
    },
    async engineCheck(id) {
      return check(db, id);
    },
  };
}

function isReady(row: ResourceRow | undefined): boolean {
  return row?.conditions.some((one) => one.type === 'Ready' && one.status === 'True') ?? false;
}

function fill(
  db: MemoryDatabase,
  input: { id: string; shard: number; ranks: Readonly<Record<string, number>>; onceKinds: readonly string[] },
): number {
  const replay = db.replays.get(input.id);
  if (replay?.row.state !== 'filling') return 0;
  const { selector } = replay.row;
  const chosen = [...shardTables(db, input.shard).rows.values()].filter(
    (row) =>
      matches(row, selector) &&
      (selector.names === undefined || selector.names.includes(row.name)) &&
      (row.spec['suspend'] ?? null) === null &&
      !(input.onceKinds.includes(row.kind) && isReady(row)),
  );
  for (const row of chosen) {
    const asked = { state: 'waiting', askedAt: null, readyBefore: false, readyAfter: false, reason: null } as const;
    // Kinds that this build does not know come last, so that they hold up none that it does.
    const rank = input.ranks[row.kind] ?? Object.keys(input.ranks).length;
    replay.items.set(`${input.shard}/${row.uid}`, { shard: input.shard, uid: row.uid, rank, ...asked });
  }
  const isLast = input.shard === shardCount - 1;
  const row = isLast ? { ...replay.row, state: 'running' as const } : replay.row;
  db.replays.set(input.id, { ...replay, row, filledThrough: input.shard });
  return chosen.length;
}

/** The lowest rank with a waiting item begins when each item of the ranks before is done, or was asked long enough ago. */
function mayBegin(items: readonly MemoryReplayItem[], rank: number, askedBefore: number): boolean {
  return items.every((item) => item.rank >= rank || item.state === 'done' || (item.askedAt ?? Infinity) <= askedBefore);
}

function ask(db: MemoryDatabase, input: { id: string; count: number; rankPatienceMs: number }): number {
  const replay = db.replays.get(input.id);
  if (replay?.row.state !== 'running') return 0;
  const now = db.now();
  const all = [...replay.items.values()];
  const waiting = all.filter((item) => item.state === 'waiting');
  waiting.sort((a, b) => a.rank - b.rank || a.shard - b.shard || (a.uid < b.uid ? -1 : 1));
  const rank = waiting[0]?.rank ?? 0;
  if (!mayBegin(all, rank, now - input.rankPatienceMs)) return 0;
  const chosen = waiting.filter((item) => item.rank === rank).slice(0, input.count);
  for (const item of chosen) {
    const tables = shardTables(db, item.shard);
    const readyBefore = isReady(tables.rows.get(item.uid));
    replay.items.set(`${item.shard}/${item.uid}`, { ...item, state: 'asked', askedAt: now, readyBefore });
    const work = tables.work.get(item.uid);
    if (work === undefined) continue;
    const dueAt = Math.min(work.dueAt, now + dueShiftMs.replay);
    tables.work.set(item.uid, { ...work, dueAt, wakeSeq: work.wakeSeq + 1 });
    db.committed(item.shard);
  }
  return chosen.length;
}

function check(db: MemoryDatabase, id: string): number {
  const replay = db.replays.get(id);
  if (replay === undefined) return 0;
  for (const [key, item] of replay.items) {
    if (item.state !== 'asked') continue;
    const tables = shardTables(db, item.shard);
    const row = tables.rows.get(item.uid);
    const passedAt = tables.work.get(item.uid)?.passedAt ?? 0;
    const gone = row === undefined;
    if (!gone && passedAt <= (item.askedAt ?? Infinity)) continue;
    const reason = row?.conditions.find((one) => one.type === 'Ready')?.reason ?? null;
    replay.items.set(key, { ...item, state: 'done', readyAfter: gone || isReady(row), reason });
  }
  const left = [...replay.items.values()].filter((item) => item.state !== 'done').length;
  if (left === 0 && replay.row.state === 'running') {
    db.replays.set(id, { ...replay, row: { ...replay.row, state: 'done', finishedAt: db.now() } });
  }
  return left;
}
