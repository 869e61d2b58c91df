import type { Intent } from '#controller/contract.ts';
import type { FiringRow } from '#controller/store/engine-store.ts';
import type { AuditEntry, RecordedRequest } from '#controller/store/recording.ts';
import type { ReplayRow } from '#controller/store/replay-store.ts';
import { dueShiftMs } from '#controller/store/rows.ts';
import type {
  Decision,
  OperationRow,
  Priority,
  ProviderRow,
  RememberedRequest,
  Revision,
  StoredPass,
  StoredPlan,
  WorkRow,
} from '#controller/store/rows.ts';
import { keyText } from '#resources/reference.ts';
import type { Ms, ResourceKey, ResourceRow } from '#resources/resource.ts';
import type { Topic } from '#resources/topic.ts';
import { WorkTable } from './work-table.ts';

/**
 * The tables of architecture §4 in memory, one object for all stores of a world.
 *
 * 1. Every stored value is immutable and replaced, never changed in place: what a reader was handed stays as it was read.
 * 2. Each method of the stores runs to its end without awaiting, so it is one transaction; it checks first and writes after,
 *    so a throw leaves nothing behind.
 * 3. `now` is the database's clock. It is injected; nothing here reads another.
 */
export interface MemoryDatabase {
  /** ms since the epoch. */
  readonly now: () => Ms;
  /** Called after each transaction that woke rows or changed a version (the signal after commit). */
  readonly committed: (shard: number) => void;
  readonly shards: Map<number, Shard>;
  /** `kind NUL externalName` → whose it is. */
  readonly claims: Map<string, { readonly workspace: string; readonly uid: string }>;
  readonly retained: RetainedRow[];
  readonly providers: Map<string, ProviderRow>;
  readonly budgets: Map<string, { readonly tokens: number; readonly at: Ms }>;
  readonly slots: Map<string, { readonly holder: string; readonly until: Ms }>;
  readonly windows: Map<string, readonly Ms[]>;
  readonly engines: Set<string>;
  readonly firings: Map<Topic, FiringRow & { readonly last: number; readonly nextAt: Ms }>;
  readonly replays: Map<string, MemoryReplay>;
  readonly audit: AuditEntry[];
  /** Requests that were not of rows. */
  readonly recorded: Map<string, RecordedRequest>;
}

export interface RetainedRow {
  readonly kind: string;
  readonly externalRef: string;
  readonly workspace: string;
  readonly uid: string;
  readonly until: Ms | null;
  readonly reason: string;
}

export interface TopicRow {
  readonly firedVersion: number;
  readonly firedAt: Ms;
  /** Listeners not yet woken by the last firing. */
  readonly draining: readonly string[];
  /** The next of these becomes due then, and each `rowMs` after the one before; null: all at once. */
  readonly spread: { readonly at: Ms; readonly rowMs: number } | null;
}

export interface Tombstone {
  readonly version: number;
  readonly key: ResourceKey;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly at: Ms;
}

export interface MemoryReplay {
  readonly row: Omit<ReplayRow, 'total' | 'waiting' | 'asked' | 'done' | 'healed' | 'unchanged' | 'failing'>;
  readonly requestId: string | null;
  /** What `resume` goes back to. */
  readonly before: 'filling' | 'running';
  readonly filledThrough: number;
  readonly holder: string | null;
  readonly leaseUntil: Ms;
  readonly items: Map<string, MemoryReplayItem>;
}

export interface MemoryReplayItem {
  readonly shard: number;
  readonly uid: string;
  readonly rank: number;
  readonly state: 'waiting' | 'asked' | 'done';
  readonly askedAt: Ms | null;
  readonly readyBefore: boolean;
  readonly readyAfter: boolean;
  readonly reason: string | null;
}

/** Everything of the workspaces of one shard. */
export interface Shard {
  readonly shard: number;
  version: number;
  trimmedThrough: number;
  readonly rows: Map<string, ResourceRow>;
  readonly byKey: Map<string, string>;
  readonly bySlot: Map<string, string>;
  readonly work: WorkTable;
  readonly topics: Map<Topic, TopicRow>;
  readonly listeners: Map<Topic, Set<string>>;
  readonly listening: Map<string, readonly Topic[]>;
  readonly revisions: Map<string, readonly Revision[]>;
  readonly passes: Map<string, readonly StoredPass[]>;
  readonly intents: Map<string, readonly Intent[]>;
  /** Nonces of intents that no pass needs to see. */
  readonly archived: Set<string>;
  readonly decisions: Map<string, readonly Decision[]>;
  readonly operations: Map<string, readonly OperationRow[]>;
  readonly plans: Map<string, StoredPlan>;
  readonly requests: Map<string, RememberedRequest>;
  readonly tombstones: Tombstone[];
}

/** An empty database. `committed` hears the shard of each transaction after it. */
export function createMemoryDatabase(options: { now: () => Ms; committed?: (shard: number) => void }): MemoryDatabase {
  return {
    now: options.now,
    committed: options.committed ?? ((): void => undefined),
    shards: new Map(),
    claims: new Map(),
    retained: [],
    providers: new Map(),
    budgets: new Map(),
    slots: new Map(),
    windows: new Map(),
    engines: new Set(),
    firings: new Map(),
    replays: new Map(),
    audit: [],
    recorded: new Map(),
  };
}

/** The tables of one shard; made on first use. */
export function shardTables(db: MemoryDatabase, shard: number): Shard {
  const known = db.shards.get(shard);
  if (known !== undefined) return known;
  const made: Shard = {
    shard,
    version: 0,
    trimmedThrough: 0,
    rows: new Map(),
    byKey: new Map(),
    bySlot: new Map(),
    work: new WorkTable(),
    topics: new Map(),
    listeners: new Map(),
    listening: new Map(),
    revisions: new Map(),
    passes: new Map(),
    intents: new Map(),
    archived: new Set(),
    decisions: new Map(),
    operations: new Map(),
    plans: new Map(),
    requests: new Map(),
    tombstones: [],
  };
  db.shards.set(shard, made);
  return made;
}

/** The row of that key, or undefined. */
export function rowByKey(tables: Shard, key: ResourceKey): ResourceRow | undefined {
  const uid = tables.byKey.get(keyText(key));
  return uid === undefined ? undefined : tables.rows.get(uid);
}

/** Index text of a slot: unique per owner. */
export function slotText(ownerUid: string, slot: string): string {
  return `${ownerUid}\u0000${slot}`;
}

/** How many listeners a firing wakes in the writer's own transaction (architecture §4, Wakes). */
export const wokenAtOnceMax = 500;

/** Replaces members of a row of `work`. */
export function changeWork(tables: Shard, uid: string, change: Partial<WorkRow>): void {
  const work = tables.work.get(uid);
  if (work !== undefined) tables.work.set(uid, { ...work, ...change });
}

/** Wakes a row: wake_seq moves, due_at only ever comes nearer (E3). */
export function wake(db: MemoryDatabase, tables: Shard, { uid, priority }: { uid: string; priority: Priority }): void {
  const work = tables.work.get(uid);
  if (work === undefined) return;
  const dueAt = Math.min(work.dueAt, db.now() + dueShiftMs[priority]);
  tables.work.set(uid, { ...work, wakeSeq: work.wakeSeq + 1, dueAt });
}

/** Fires topics at `version`: the first 500 listeners wake here, the rest is left draining. */
export function fireTopics(
  db: MemoryDatabase,
  tables: Shard,
  fired: { topics: readonly Topic[]; version: number; rowMs?: number },
): void {
  const { rowMs = 0 } = fired;
  for (const topic of fired.topics) {
    const listeners = tables.listeners.get(topic);
    const uids = listeners === undefined ? [] : [...listeners].sort();
    const spread = rowMs > 0 ? { at: db.now(), rowMs } : null;
    const next = wakeSpread(db, tables, { uids: uids.slice(0, wokenAtOnceMax), spread });
    const draining = uids.slice(wokenAtOnceMax);
    tables.topics.set(topic, { firedVersion: fired.version, firedAt: db.now(), draining, spread: next });
  }
}

/** Wakes rows at once, or one after the other; answers when the next one would be due. */
export function wakeSpread(
  db: MemoryDatabase,
  tables: Shard,
  { uids, spread }: { uids: readonly string[]; spread: TopicRow['spread'] },
): TopicRow['spread'] {
  if (spread === null) {
    for (const uid of uids) wake(db, tables, { uid, priority: 'dependency' });
    return null;
  }
  const from = Math.max(spread.at, db.now());
  for (const [index, uid] of uids.entries()) {
    const work = tables.work.get(uid);
    if (work === undefined) continue;
    const dueAt = Math.min(work.dueAt, Math.floor(from + index * spread.rowMs));
    changeWork(tables, uid, { dueAt, wakeSeq: work.wakeSeq + 1 });
  }
  return { at: from + uids.length * spread.rowMs, rowMs: spread.rowMs };
}

/** Replaces the set of topics a row listens to. */
export function storeListeners(tables: Shard, uid: string, topics: readonly Topic[]): void {
  for (const topic of tables.listening.get(uid) ?? []) {
    const uids = tables.listeners.get(topic);
    uids?.delete(uid);
    if (uids?.size === 0) tables.listeners.delete(topic);
  }
  if (topics.length === 0) {
    tables.listening.delete(uid);
    return;
  }
  tables.listening.set(uid, topics);
  for (const topic of topics) {
    const uids = tables.listeners.get(topic);
    if (uids === undefined) tables.listeners.set(topic, new Set([uid]));
    else uids.add(uid);
  }
}

/** Appends to a list of immutable rows under a key. */
export function append<T>(lists: Map<string, readonly T[]>, key: string, item: T): void {
  lists.set(key, [...(lists.get(key) ?? []), item]);
}
