import { readsMax, tooManyReads } from '#controller/store/resource-store.ts';
import type { MutationSnapshot, Revision, RowWrite } from '#controller/store/rows.ts';
import { dueShiftMs, freshWork } from '#controller/store/rows.ts';
import { newRow } from '#resources/new-row.ts';
import { keyText } from '#resources/reference.ts';
import type { ResourceKey, ResourceRow, ResourceView } from '#resources/resource.ts';
import { append, fireTopics, rowByKey, slotText, wake, type MemoryDatabase, type Shard } from './database.ts';

export interface SnapshotInput {
  readonly workspace: string;
  readonly reads: readonly ResourceKey[];
  readonly follow: (row: ResourceRow) => readonly ResourceKey[];
  readonly childrenOf?: string | undefined;
  readonly requestKey?: string | undefined;
  readonly planHash?: string | undefined;
}

/** What a decision sees, read in the transaction that will write it. */
export function mutationSnapshot(db: MemoryDatabase, tables: Shard, input: SnapshotInput): MutationSnapshot {
  const rows = new Map<string, ResourceRow>();
  const queue = [...input.reads];
  for (let key = queue.shift(); key !== undefined; key = queue.shift()) {
    const row = rowByKey(tables, key);
    if (row === undefined || rows.has(keyText(key))) continue;
    if (rows.size >= readsMax) throw tooManyReads();
    rows.set(keyText(key), row);
    queue.push(...input.follow(row));
  }
  const ofWorkspace = [...tables.rows.values()].filter((row) => row.workspace === input.workspace);
  const plan = input.planHash === undefined ? undefined : tables.plans.get(input.planHash);
  return {
    now: db.now(),
    version: tables.version,
    rows,
    children: input.childrenOf === undefined ? [] : ofWorkspace.filter((row) => row.ownerUid === input.childrenOf),
    request: (input.requestKey === undefined ? undefined : tables.requests.get(input.requestKey)) ?? null,
    plan: plan !== undefined && plan.expiresAt > db.now() ? plan : null,
  };
}

/** Carries out decided writes in their order: version, generation, revision, wake and topics of each. Answers the rows. */
export function applyWrites(
  db: MemoryDatabase,
  tables: Shard,
  input: { writes: readonly RowWrite[]; requestId: string | null },
): readonly ResourceRow[] {
  for (const write of input.writes) check(tables, write);
  return input.writes.map((write) => {
    tables.version += 1;
    const row = write.op === 'insert' ? insert(db, tables, write) : change(db, tables, write);
    if (write.op !== 'update' || write.newGeneration) {
      append(tables.revisions, row.uid, revision(row, write, { now: db.now(), requestId: input.requestId }));
    }
    fireTopics(db, tables, { topics: write.fires, version: tables.version });
    return row;
  });
}

/** The constraints of the tables: unique key, unique slot, the row is there. */
function check(tables: Shard, write: RowWrite): void {
  if (write.op !== 'insert') {
    if (!tables.rows.has(write.uid)) throw new Error(`no row ${write.uid} to ${write.op}`);
    return;
  }
  if (tables.rows.has(write.uid)) throw new Error(`uid ${write.uid} exists`);
  if (tables.byKey.has(keyText(write.key))) throw new Error(`${keyText(write.key)} exists`);
  if (write.owner !== null && tables.bySlot.has(slotText(write.owner.uid, write.owner.slot))) {
    throw new Error(`slot ${write.owner.slot} of ${write.owner.uid} exists`);
  }
}

function insert(db: MemoryDatabase, tables: Shard, write: RowWrite & { op: 'insert' }): ResourceRow {
  const now = db.now();
  const { uid, key, labels, annotations, owner } = write;
  const { shard, version } = tables;
  const row = { ...newRow({ ...write, now }), shard, version, labels, annotations };
  tables.rows.set(uid, row);
  tables.byKey.set(keyText(key), uid);
  if (owner !== null) tables.bySlot.set(slotText(owner.uid, owner.slot), uid);
  tables.work.set(uid, { ...freshWork(now + dueShiftMs.user), workspace: key.workspace, kind: key.kind });
  return row;
}

function change(db: MemoryDatabase, tables: Shard, write: Exclude<RowWrite, { op: 'insert' }>): ResourceRow {
  const before = tables.rows.get(write.uid);
  if (before === undefined) throw new Error(`no row ${write.uid}`);
  const stamped = { ...before, version: tables.version, updatedAt: db.now() };
  const moves = write.op !== 'update' || write.newGeneration;
  const row = { ...stamped, ...changedBy(db, write), generation: before.generation + (moves ? 1 : 0) };
  tables.rows.set(write.uid, row);
  if (moves) wake(db, tables, { uid: write.uid, priority: 'user' });
  return row;
}

function changedBy(db: MemoryDatabase, write: Exclude<RowWrite, { op: 'insert' }>): Partial<ResourceRow> {
  switch (write.op) {
    case 'update':
      return { labels: write.labels, annotations: write.annotations, spec: write.spec };
    case 'delete':
      return { deletedAt: db.now(), deletionPolicy: write.policy, undoUntil: db.now() + write.undoForMs };
    case 'undelete':
      return { deletedAt: null, deletionPolicy: null, undoUntil: null };
  }
}

function revision(row: ResourceRow, write: RowWrite, at: { now: number; requestId: string | null }): Revision {
  return {
    generation: row.generation,
    spec: row.spec,
    by: write.by,
    requestId: at.requestId,
    at: at.now,
    approved: write.op === 'undelete' ? [] : write.approved,
    confirmed: write.op === 'delete' && write.confirmed,
  };
}

/** A row with what the projection joins. */
export function viewOf(tables: Shard, row: ResourceRow): ResourceView {
  const work = tables.work.get(row.uid);
  const owner = row.ownerUid === null ? undefined : tables.rows.get(row.ownerUid);
  return {
    row,
    work: work === undefined ? null : { attempts: work.attempts, dueAt: work.dueAt, verifiedAt: work.verifiedAt },
    owner: owner === undefined ? null : { kind: owner.kind, name: owner.name },
  };
}
