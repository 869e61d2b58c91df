import type { Intent } from '#controller/contract.ts';
import type { ClaimInput, EngineStore, ListInput, SweepAges } from '#controller/store/engine-store.ts';
import type { Claim, PassRow } from '#controller/store/rows.ts';
import { shardCount, shardOf } from '#resources/shard.ts';
import { topic as topicNames } from '#resources/topic.ts';
import type { Topic } from '#resources/topic.ts';
import type { ResourceRow } from '#resources/resource.ts';
import {
  changeWork,
  fireTopics,
  rowByKey,
  shardTables,
  wakeSpread,
  type MemoryDatabase,
  type Shard,
} from './database.ts';
import { createIntentMethods, fenced } from './intents.ts';
import { createSettleMethods } from './settle.ts';
import type { MemoryWork } from './work-table.ts';

/** EngineStore over a MemoryDatabase. Each method runs to its end before it returns its promise. */
export function createMemoryEngineStore(db: MemoryDatabase): EngineStore {
  return {
    ...createClaimMethods(db),
    ...createReadMethods(db),
    ...createIntentMethods(db),
    ...createSettleMethods(db),
    ...createDeletionMethods(db),
    ...createUpkeepMethods(db),
  };
}

type ClaimMethods = Pick<EngineStore, 'dueShards' | 'claim' | 'renew'>;

function createClaimMethods(db: MemoryDatabase): ClaimMethods {
  return {
    async dueShards() {
      const now = db.now();
      const due = [...db.shards.values()].filter((tables) => tables.work.claimable(now).length > 0);
      return due.map((tables) => tables.shard).sort((a, b) => a - b);
    },
    async claim(input) {
      const tables = shardTables(db, input.shard);
      return fairly(tables, db.now(), input).map(([uid, work]) => claimOne(db, tables, { uid, work, ...input }));
    },
    async renew({ shard, holder, uids, leaseMs }) {
      const tables = shardTables(db, shard);
      const held = uids.filter((uid) => tables.work.get(uid)?.holder === holder);
      for (const uid of held) {
        const leaseUntil = Math.max(tables.work.get(uid)?.leaseUntil ?? 0, db.now() + leaseMs);
        changeWork(tables, uid, { leaseUntil });
      }
      return held;
    },
  };
}

/** Claimable rows by due_at, at most perWorkspaceMax of each workspace while another waits; what is left over goes by due_at. */
function fairly(tables: Shard, now: number, input: ClaimInput): readonly (readonly [string, MemoryWork])[] {
  const { kinds, from = -Infinity } = input;
  const due = tables.work
    .claimable(now)
    .filter(([, { kind, dueAt }]) => (kinds?.includes(kind) ?? true) && dueAt >= from)
    .toSorted(([a, one], [b, other]) => one.dueAt - other.dueAt || (a < b ? -1 : 1));
  if (due.length <= input.limit) return due;
  const taken = new Map<string, number>();
  const first: typeof due = [];
  const rest: typeof due = [];
  for (const entry of due) {
    const { workspace } = entry[1];
    const count = taken.get(workspace) ?? 0;
    taken.set(workspace, count + 1);
    (count < input.perWorkspaceMax ? first : rest).push(entry);
  }
  return [...first, ...rest].slice(0, input.limit);
}

/** Takes one row for a holder: a new epoch, and a mark when somebody held it before (architecture §5, Takeover). */
export function claimOne(
  db: MemoryDatabase,
  tables: Shard,
  { uid, work, holder, leaseMs }: { uid: string; work: MemoryWork; holder: string; leaseMs: number },
): Claim {
  const claimedAt = db.now();
  const epoch = work.epoch + 1;
  const takenOverAt = work.holder === null ? work.takenOverAt : work.leaseUntil;
  tables.work.set(uid, { ...work, holder, epoch, takenOverAt, leaseUntil: claimedAt + leaseMs });
  const { workspace, kind, wakeSeq } = work;
  return { shard: tables.shard, uid, workspace, kind, epoch, wakeSeq, claimedAt };
}

type ReadMethods = Pick<EngineStore, 'readRows' | 'readKey' | 'listRows' | 'listOthers' | 'readOperation' | 'passes'>;

function createReadMethods(db: MemoryDatabase): ReadMethods {
  return {
    async readRows(shard, uids) {
      const tables = shardTables(db, shard);
      const rows = uids.map((uid) => passRow(tables, uid)).filter((row) => row !== null);
      return { version: tables.version, now: db.now(), rows };
    },
    async readKey(key) {
      const tables = shardTables(db, shardOf(key.workspace));
      return { version: tables.version, row: rowByKey(tables, key) ?? null };
    },
    async listRows(input) {
      const tables = shardTables(db, input.shard);
      const rows = [...tables.rows.values()].filter((row) => listed(row, input));
      return { version: tables.version, rows: rows.sort((a, b) => (a.uid < b.uid ? -1 : 1)).slice(0, input.limit) };
    },
    async listOthers({ otherThan, ...input }) {
      const rows = [...shardTables(db, input.shard).rows.values()];
      const others = rows.filter((row) => listed(row, input) && !otherThan.includes(row.kind));
      return others.sort((a, b) => (a.uid < b.uid ? -1 : 1)).slice(0, input.limit);
    },
    async readOperation({ shard, uid, key }) {
      const row = shardTables(db, shard)
        .operations.get(uid)
        ?.find((one) => one.key === key);
      if (row === undefined) return null;
      return { key, state: row.state, progress: row.progress, result: row.result };
    },
    async passes({ shard, uid, limit, epoch }) {
      const all = shardTables(db, shard).passes.get(uid) ?? [];
      const wanted = epoch === undefined ? all : all.filter((pass) => pass.epoch === epoch);
      return wanted.toReversed().slice(0, limit);
    },
  };
}

function listed(row: ResourceRow, input: ListInput): boolean {
  if (row.workspace !== input.workspace || row.uid <= (input.after ?? '')) return false;
  if (input.ownerUid !== undefined && row.ownerUid !== input.ownerUid) return false;
  return input.kinds === undefined || input.kinds.includes(row.kind);
}

function passRow(tables: Shard, uid: string): PassRow | null {
  const row = tables.rows.get(uid);
  const work = tables.work.get(uid);
  if (row === undefined || work === undefined) return null;
  const owner = row.ownerUid === null ? undefined : tables.rows.get(row.ownerUid);
  const revision = tables.revisions.get(uid)?.find((one) => one.generation === row.generation);
  return {
    row,
    work,
    intents: shownIntents((tables.intents.get(uid) ?? []).filter((one) => !tables.archived.has(one.nonce))),
    decisions: tables.decisions.get(uid) ?? [],
    revision: revision ?? null,
    listeners: tables.listening.get(uid) ?? [],
    owner:
      owner === undefined
        ? null
        : {
            kind: owner.kind,
            name: owner.name,
          },
  };
}

/** All but refused and retired attempts that a newer one replaced. A contradicted one always shows: a duplicate is never silent. */
function shownIntents(intents: readonly Intent[]): readonly Intent[] {
  const newest = new Map<string, number>();
  for (const { effect, attempt } of intents) newest.set(effect, Math.max(newest.get(effect) ?? 0, attempt));
  return intents.filter((one) => {
    const closed = one.state === 'refused' || one.state === 'retired';
    return !closed || one.contradicts || newest.get(one.effect) === one.attempt;
  });
}

type DeletionMethods = Pick<EngineStore, 'beginFinalizing' | 'clearFinalizing' | 'beginRecreate' | 'takeClaim'>;

function createDeletionMethods(db: MemoryDatabase): DeletionMethods {
  return {
    async beginFinalizing(fence, { generation, destroysData }) {
      const tables = shardTables(db, fence.shard);
      const row = tables.rows.get(fence.uid);
      if (row === undefined || fenced(tables, fence) === null) return 'fenced';
      if (row.generation !== generation || row.deletedAt === null) return 'moved';
      if (destroysData && (row.undoUntil ?? 0) > db.now()) return 'window';
      tables.rows.set(row.uid, { ...row, finalizingAt: row.finalizingAt ?? db.now() });
      return 'begun';
    },
    async clearFinalizing(fence) {
      const tables = shardTables(db, fence.shard);
      const row = tables.rows.get(fence.uid);
      if (row === undefined || fenced(tables, fence) === null) return;
      tables.rows.set(row.uid, { ...row, finalizingAt: null });
    },
    async beginRecreate(fence) {
      const tables = shardTables(db, fence.shard);
      const work = fenced(tables, fence);
      if (work === null) return null;
      changeWork(tables, fence.uid, { incarnation: work.incarnation + 1, materializedAt: null });
      return work.incarnation + 1;
    },
    async takeClaim({ kind, externalName, workspace, uid }) {
      const text = `${kind}\u0000${externalName}`;
      const holder = db.claims.get(text);
      if (holder === undefined) db.claims.set(text, { workspace, uid });
      return holder === undefined || holder.uid === uid ? 'ours' : 'taken';
    },
  };
}

type UpkeepMethods = Pick<
  EngineStore,
  'fire' | 'askFiring' | 'takeFiring' | 'moveFiring' | 'drain' | 'drainingShards' | 'sweep' | 'registerEngine'
>;

/** Asks for a topic to be fired in all shards; asked again, it goes once round. */
export function askFiring(db: MemoryDatabase, topic: Topic, ratePerSecond: number): void {
  const { round, shard, nextAt } = db.firings.get(topic) ?? { round: 0, shard: 0, nextAt: db.now() };
  const last = (shard + shardCount - 1) % shardCount;
  db.firings.set(topic, { topic, ratePerSecond, round: round + 1, shard, last, nextAt });
}

function createUpkeepMethods(db: MemoryDatabase): UpkeepMethods {
  return {
    async fire(shard, topics, rowMs) {
      const tables = shardTables(db, shard);
      tables.version += 1;
      const before = new Map(tables.work);
      fireTopics(db, tables, { topics, version: tables.version, rowMs });
      db.committed(shard);
      return [...tables.work].filter(([uid, work]) => before.get(uid)?.wakeSeq !== work.wakeSeq).length;
    },
    async askFiring(topic, ratePerSecond) {
      askFiring(db, topic, ratePerSecond);
    },
    async takeFiring(leaseMs) {
      const now = db.now();
      const [next] = [...db.firings.values()].sort((a, b) => a.nextAt - b.nextAt);
      if (next === undefined) return { firing: null, inMs: null };
      if (next.nextAt > now) return { firing: null, inMs: next.nextAt - now };
      db.firings.set(next.topic, { ...next, nextAt: now + leaseMs });
      const { nextAt: _nextAt, last: _last, ...firing } = next;
      return { firing, inMs: null };
    },
    async moveFiring({ topic, round, shard }, waitMs) {
      const known = db.firings.get(topic);
      if (known === undefined || known.shard !== shard) return;
      const next = known.round === round ? (shard + 1) % shardCount : shard;
      if (next !== shard && shard === known.last) db.firings.delete(topic);
      else db.firings.set(topic, { ...known, shard: next, nextAt: db.now() + waitMs });
    },
    async drain(shard, limit) {
      const tables = shardTables(db, shard);
      let left = limit;
      for (const [name, row] of tables.topics) {
        const now = row.draining.slice(0, left);
        if (now.length === 0) continue;
        const spread = wakeSpread(db, tables, { uids: now, spread: row.spread });
        left -= now.length;
        tables.topics.set(name, { ...row, draining: row.draining.slice(now.length), spread });
      }
      db.committed(shard);
      return hasDraining(tables);
    },
    async drainingShards() {
      return [...db.shards.values()].filter(hasDraining).map((tables) => tables.shard);
    },
    async sweep(shard, ages) {
      return sweepShard(db, shardTables(db, shard), ages);
    },
    async registerEngine(buildId, wakePerSecond) {
      const isNew = !db.engines.has(buildId);
      db.engines.add(buildId);
      if (isNew) askFiring(db, topicNames.engine, wakePerSecond);
      return isNew;
    },
  };
}

function hasDraining(tables: Shard): boolean {
  for (const row of tables.topics.values()) if (row.draining.length > 0) return true;
  return false;
}

/** Puts away done intents but the newest of their family, and closed ones that were replaced; the refused of these go by age. */
function sweepIntents(
  tables: Shard,
  { uid, intents, ages, now }: { uid: string; intents: readonly Intent[]; ages: SweepAges; now: number },
): number {
  const { archived } = tables;
  const before = archived.size;
  const family = ({ effect }: Intent): string => effect.split(':')[0] ?? '';
  const isReplaced = (one: Intent): boolean =>
    intents.some((other) => other.effect === one.effect && other.attempt > one.attempt);
  const twice = new Set(intents.filter((one) => one.contradicts).map((one) => one.effect));
  for (const one of intents.filter((intent) => !twice.has(intent.effect))) {
    const newer = intents.filter((other) => other.state === 'done' && family(other) === family(one));
    const place = newer.filter((other) => other.announcedAt > one.announcedAt).length;
    const closed = one.state === 'refused' || one.state === 'retired';
    if (one.state === 'done' ? place >= ages.doneIntentsKept : closed && isReplaced(one)) archived.add(one.nonce);
  }
  const isOld = (one: Intent): boolean =>
    archived.has(one.nonce) && one.state === 'refused' && (one.answeredAt ?? now) <= now - ages.passMs;
  const kept = intents.filter((one) => !isOld(one));
  if (kept.length < intents.length) tables.intents.set(uid, kept);
  return archived.size - before + intents.length - kept.length;
}

/** Trims at most batchMax rows of each sort. */
function sweepShard(db: MemoryDatabase, tables: Shard, ages: SweepAges): number {
  const now = db.now();
  const old = tables.tombstones.filter((one) => one.at <= now - ages.tombstoneMs).slice(0, ages.batchMax);
  tables.tombstones.splice(0, old.length);
  tables.trimmedThrough = Math.max(tables.trimmedThrough, ...old.map((one) => one.version));
  let trimmed = old.length;
  for (const [uid, passes] of tables.passes) {
    const kept = passes.filter((pass, index) => index === passes.length - 1 || pass.at > now - ages.passMs);
    trimmed += passes.length - kept.length;
    tables.passes.set(uid, kept);
  }
  for (const [uid, intents] of tables.intents) trimmed += sweepIntents(tables, { uid, intents, ages, now });
  for (const [name, row] of tables.topics) {
    if (tables.listeners.has(name) || row.firedAt > now - ages.topicMs) continue;
    tables.topics.delete(name);
    trimmed += 1;
  }
  for (const [hash, plan] of tables.plans) {
    if (plan.expiresAt > now) continue;
    tables.plans.delete(hash);
    trimmed += 1;
  }
  return trimmed;
}
