import { newRow } from '#resources/new-row.ts';
import type { ResourceRow } from '#resources/resource.ts';
import type { RowWrite } from './rows.ts';
import { timeText } from './time-text.ts';

/** Where and when writes are carried out. */
export interface WritePoint {
  readonly shard: number;
  /** The shard's version before them: each row gets the next one, in the order of the writes. */
  readonly version: number;
  /** Database time, ms. */
  readonly at: number;
  readonly requestId: string | null;
}

/** A write as write_rows reads it; its other members stand in write-rows-text.ts. */
export interface WriteDoc {
  readonly op: RowWrite['op'];
  readonly [column: string]: unknown;
}

export interface WritePlan {
  /** Of write_rows, which takes them as a JSON array, in the order of the writes. */
  readonly docs: readonly WriteDoc[];
  /** The rows as they will be, in the order of the writes. */
  readonly rows: readonly ResourceRow[];
  /** The shard's version after them. */
  readonly version: number;
  /** Topics that all of them fire, sorted. */
  readonly fires: readonly string[];
}

/**
 * What write_rows stores for decided writes. Pure. `before` holds the rows read under the shard's lock, by uid.
 * Throws for a change of a row that was not read, and for two writes of one row.
 */
export function planWrites(
  writes: readonly RowWrite[],
  before: ReadonlyMap<string, ResourceRow>,
  point: WritePoint,
): WritePlan {
  if (new Set(writes.map((write) => write.uid)).size !== writes.length) throw new Error('two writes of one row');
  const rows = writes.map((write, index) => rowAfter(write, before, { ...point, version: point.version + index + 1 }));
  return {
    docs: writes.map((write, index) => writeDoc(write, rows[index], point)),
    rows,
    version: point.version + writes.length,
    fires: [...new Set(writes.flatMap((write) => write.fires))].toSorted(),
  };
}

function rowAfter(write: RowWrite, before: ReadonlyMap<string, ResourceRow>, point: WritePoint): ResourceRow {
  const { shard, version, at } = point;
  if (write.op === 'insert') return insertedRow(write, point);
  const row = before.get(write.uid);
  if (row === undefined) throw new Error(`no row ${write.uid} was read to ${write.op}`);
  const moved = { ...row, shard, version, updatedAt: at, generation: row.generation + (declares(write) ? 1 : 0) };
  switch (write.op) {
    case 'update':
      return { ...moved, spec: write.spec, labels: write.labels, annotations: write.annotations };
    case 'delete':
      return { ...moved, deletedAt: at, deletionPolicy: write.policy, undoUntil: at + write.undoForMs };
    case 'undelete':
      return { ...moved, deletedAt: null, deletionPolicy: null, undoUntil: null };
  }
}

function insertedRow(write: RowWrite & { op: 'insert' }, { shard, version, at }: WritePoint): ResourceRow {
  const { labels, annotations } = write;
  return { ...newRow({ ...write, now: at }), shard, version, labels, annotations };
}

/** Whether the write is a new generation: labels and annotations alone are not. */
function declares(write: RowWrite): boolean {
  return write.op !== 'update' || write.newGeneration;
}

function writeDoc(write: RowWrite, row: ResourceRow | undefined, point: WritePoint): WriteDoc {
  const iso = (ms: number | null | undefined): string | null => (ms === null || ms === undefined ? null : timeText(ms));
  return {
    op: write.op,
    uid: write.uid,
    workspace: row?.workspace,
    kind: row?.kind,
    name: row?.name,
    owner_uid: row?.ownerUid,
    slot: row?.slot,
    generation: row?.generation,
    version: row?.version,
    labels: row?.labels,
    annotations: row?.annotations,
    spec: row?.spec,
    by: write.by,
    deleted_at: iso(row?.deletedAt),
    deletion_policy: row?.deletionPolicy,
    undo_until: iso(row?.undoUntil),
    declares: declares(write),
    request_id: point.requestId,
    approved: write.op === 'undelete' ? [] : write.approved,
    confirmed: write.op === 'delete' && write.confirmed,
  };
}
