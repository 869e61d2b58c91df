import type { EngineStore } from '#controller/store/engine-store.ts';
import type { Removal, RemovalResult, Settle, SettleResult } from '#controller/store/rows.ts';
import { dueShiftMs } from '#controller/store/rows.ts';
import { keyText } from '#resources/reference.ts';
import { topic } from '#resources/topic.ts';
import {
  append,
  fireTopics,
  shardTables,
  slotText,
  storeListeners,
  type MemoryDatabase,
  type Shard,
} from './database.ts';
import { changeIntent, fenced, isOpen } from './intents.ts';
import { applyWrites, mutationSnapshot } from './writes.ts';
import type { MemoryWork } from './work-table.ts';

type SettleMethods = Pick<EngineStore, 'settle' | 'settleRemoval' | 'settleDeclare' | 'release'>;

/** How passes end: fenced writes of status, due time and topics; removal; children. */
export function createSettleMethods(db: MemoryDatabase): SettleMethods {
  return {
    async settle(shard, settles) {
      const tables = shardTables(db, shard);
      for (const settle of settles) checkText(settle);
      const results = new Map<string, SettleResult>();
      for (const settle of settles.toSorted((a, b) => (a.uid < b.uid ? -1 : 1))) {
        results.set(settle.uid, settleOne(db, tables, settle));
      }
      db.committed(shard);
      return results;
    },
    async settleRemoval(removal) {
      const tables = shardTables(db, removal.settle.shard);
      const result = remove(db, tables, removal);
      if (result.result === 'removed') db.committed(tables.shard);
      return result;
    },
    async settleDeclare(input) {
      const tables = shardTables(db, input.settle.shard);
      checkText(input.settle);
      const owner = tables.rows.get(input.settle.uid);
      if (fenced(tables, input.settle) === null || owner === undefined) return { result: 'fenced' };
      const { reads, follow } = input;
      const snapshot = mutationSnapshot(db, tables, {
        workspace: owner.workspace,
        reads,
        follow,
        childrenOf: owner.uid,
      });
      const writes = input.decide(snapshot);
      if ('refused' in writes) return { result: 'refused', refusal: writes.refused };
      applyWrites(db, tables, { writes, requestId: null });
      const result = settleOne(db, tables, input.settle);
      db.committed(tables.shard);
      return { result };
    },
    async release(fences) {
      for (const fence of fences) {
        const tables = shardTables(db, fence.shard);
        const work = fenced(tables, fence);
        if (work === null) continue;
        const dueAt = Math.min(work.dueAt, db.now());
        tables.work.set(fence.uid, { ...work, holder: null, leaseUntil: null, dueAt });
        db.committed(fence.shard);
      }
    },
  };
}

/** Postgres refuses U+0000 and lone surrogates in text and jsonb; one such string breaks the whole batch (architecture §4). */
function checkText(settle: Settle): void {
  const texts = [...(settle.status?.conditions.map((one) => one.message) ?? []), JSON.stringify(settle.status ?? null)];
  for (const text of texts) {
    if (!text.isWellFormed() || text.includes('\u0000') || text.includes('\\u0000') || text.includes('\\ud')) {
      throw new Error('invalid text for type json: unsupported Unicode sequence');
    }
  }
}

function settleOne(db: MemoryDatabase, tables: Shard, settle: Settle): SettleResult {
  const work = fenced(tables, settle);
  if (work === null) return 'fenced';
  const fires = settle.fires.length > 0;
  if (settle.status !== undefined || fires) tables.version += 1;
  storeStatus(tables, settle);
  if (settle.listeners !== undefined) storeListeners(tables, settle.uid, settle.listeners);
  const next = { ...work, ...settledWork(db, settle), dueAt: dueAt(db, tables, { settle, work }) };
  tables.work.set(settle.uid, next);
  storeFacts(db, tables, settle);
  fireTopics(db, tables, { topics: settle.fires, version: tables.version });
  return 'settled';
}

function storeStatus(tables: Shard, settle: Settle): void {
  const row = tables.rows.get(settle.uid);
  if (row === undefined || settle.status === undefined) return;
  tables.rows.set(settle.uid, { ...row, ...settle.status, version: tables.version });
}

function settledWork(db: MemoryDatabase, settle: Settle): Partial<MemoryWork> {
  const { attempts, priority, claimedAt } = settle;
  return {
    holder: null,
    leaseUntil: null,
    attempts,
    priority,
    passedAt: claimedAt,
    ...(settle.verified ? { verifiedAt: claimedAt } : {}),
    ...(settle.materialized ? { materializedAt: db.now() } : {}),
    ...(settle.clearTakenOver ? { takenOverAt: null } : {}),
    ...(settle.recentActions === undefined ? {} : { recentActions: settle.recentActions }),
  };
}

/** When the row is due again: at once if anything moved since the pass read it, else after its own delay. */
function dueAt(db: MemoryDatabase, tables: Shard, { settle, work }: { settle: Settle; work: MemoryWork }): number {
  const now = db.now();
  if (tables.rows.get(settle.uid)?.generation !== settle.generation) return now + dueShiftMs.user;
  const moved =
    work.wakeSeq !== settle.wakeSeq ||
    firedSince(tables, settle) ||
    (settle.parkedOn !== undefined && !isBlocked(db, settle.parkedOn));
  if (moved) return now + dueShiftMs.dependency;
  const shift = dueShiftMs[settle.priority];
  // A delay is a promise not to come sooner: only what is due at once may jump the queue.
  return now + settle.dueInMs + (settle.dueInMs > 0 ? Math.max(0, shift) : shift);
}

/** Only a settle that writes status or listeners looks: an unversioned one has its listeners stored, so a firing moved wake_seq. */
function firedSince(tables: Shard, settle: Settle): boolean {
  if (settle.status === undefined && settle.listeners === undefined) return false;
  const topics = settle.listeners ?? tables.listening.get(settle.uid) ?? [];
  return topics.some((name) => (tables.topics.get(name)?.firedVersion ?? 0) > settle.readVersion);
}

function isBlocked(db: MemoryDatabase, { provider, account }: { provider: string; account: string }): boolean {
  const row = db.providers.get(`${provider}/${account}`);
  if (row === undefined) return false;
  const frozen = row.frozen !== null && (row.frozen.until === null || row.frozen.until > db.now());
  return row.breaker === 'open' || frozen;
}

/** Intents, decisions, operations and the journal of a settled pass. */
function storeFacts(db: MemoryDatabase, tables: Shard, settle: Settle): void {
  const { uid } = settle;
  for (const { nonce, state, contradicted = false } of settle.intents) {
    const intent = tables.intents.get(uid)?.find((one) => one.nonce === nonce);
    const denied = intent?.state === 'done' && state === 'retired';
    if (intent === undefined || !(contradicted ? intent.contradicts || denied : isOpen(intent))) continue;
    const answeredAt = intent.answeredAt ?? db.now();
    changeIntent(tables, { uid, nonce }, { state, answeredAt, contradicts: false });
  }
  const dropped = new Set(settle.dropAnnounced);
  const kept = (tables.intents.get(uid) ?? []).filter((one) => one.state !== 'announced' || !dropped.has(one.nonce));
  if (dropped.size > 0) tables.intents.set(uid, kept);
  const decided = new Set(settle.decided);
  if (decided.size > 0) {
    const left = (tables.decisions.get(uid) ?? []).filter((decision) => !decided.has(decision.effect));
    tables.decisions.set(uid, left);
  }
  storeOperations(db, tables, settle);
  storePass(db, tables, settle);
}

function storeOperations(db: MemoryDatabase, tables: Shard, settle: Settle): void {
  const workspace = tables.rows.get(settle.uid)?.workspace ?? '';
  const now = db.now();
  for (const { key, op, input } of settle.operations) {
    const all = tables.operations.get(settle.uid) ?? [];
    const known = all.find((one) => one.key === key);
    if (op === 'start' && known === undefined) {
      const times = { cancelRequestedAt: null, createdAt: now, updatedAt: now };
      const made = {
        key,
        uid: settle.uid,
        workspace,
        op,
        input,
        state: 'waiting',
        progress: null,
        result: null,
      } as const;
      append(tables.operations, settle.uid, { ...made, ...times });
    }
    if (op === 'cancel' && known !== undefined) {
      const cancelled = { ...known, cancelRequestedAt: known.cancelRequestedAt ?? now, updatedAt: now };
      tables.operations.set(
        settle.uid,
        all.map((one) => (one === known ? cancelled : one)),
      );
    }
  }
}

function storePass(db: MemoryDatabase, tables: Shard, settle: Settle): void {
  if (settle.pass === undefined) return;
  const known = tables.passes.get(settle.uid) ?? [];
  if (known.some((pass) => pass.epoch === settle.epoch)) return;
  append(tables.passes, settle.uid, { ...settle.pass, uid: settle.uid, epoch: settle.epoch, at: db.now() });
}

/** At most this many dependents are named (architecture §5, Deletion). */
const dependentsNamedMax = 10;

function remove(db: MemoryDatabase, tables: Shard, removal: Removal): RemovalResult {
  const { settle } = removal;
  const row = tables.rows.get(settle.uid);
  if (row === undefined || fenced(tables, settle) === null) return { result: 'fenced' };
  if (row.generation !== settle.generation) return { result: 'moved' };
  if (row.deletedAt === null && removal.expired !== true) return { result: 'moved' };
  const others = [...tables.rows.values()].filter((one) => one.workspace === row.workspace && one.uid !== row.uid);
  const children = others.filter((one) => one.ownerUid === row.uid).length;
  const dependents = others
    .filter((one) => !removal.unrelatedKinds.includes(one.kind) && removal.needs(one))
    .map(({ workspace, kind, name }) => ({ workspace, kind, name }))
    .slice(0, dependentsNamedMax);
  const openIntent = (tables.intents.get(row.uid) ?? []).some(isOpen);
  if (children > 0 || dependents.length > 0 || openIntent) {
    return { result: 'blocked', children, dependents, openIntent };
  }
  tables.version += 1;
  const { uid, labels } = row;
  const key = { workspace: row.workspace, kind: row.kind, name: row.name };
  storeListeners(tables, uid, []);
  storeFacts(db, tables, settle);
  tables.rows.delete(uid);
  tables.work.delete(uid);
  tables.byKey.delete(keyText(key));
  if (row.ownerUid !== null && row.slot !== null) tables.bySlot.delete(slotText(row.ownerUid, row.slot));
  tables.tombstones.push({ version: tables.version, key, uid, labels, at: db.now() });
  for (const { kind, externalRef, untilInMs, reason } of removal.retained) {
    const until = untilInMs === null ? null : db.now() + untilInMs;
    db.retained.push({ kind, externalRef, workspace: row.workspace, uid, until, reason });
  }
  const claim = removal.claim === null ? [] : [releaseClaim(db, row.kind, { uid, externalName: removal.claim })];
  fireTopics(db, tables, { topics: [...settle.fires, ...claim], version: tables.version });
  return { result: 'removed' };
}

function releaseClaim(db: MemoryDatabase, kind: string, claim: { uid: string; externalName: string }): string {
  const text = `${kind}\u0000${claim.externalName}`;
  if (db.claims.get(text)?.uid === claim.uid) db.claims.delete(text);
  return topic.claim(kind, claim.externalName);
}
