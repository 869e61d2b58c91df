import { validationError, type ApiError } from '#resources/errors.ts';
import type { ResourceKey, ResourceRow, ResourceView } from '#resources/resource.ts';
import type { AuditEntry, Recording } from './recording.ts';
import type { Decision, MutationSnapshot, Revision, RowWrite, StoredPass } from './rows.ts';

/**
 * Whose rows a call may touch: a workspace (row-level security behind it), or all, with a platform key. `staysOpen`: of a call that reads
 * again and again, which waits for a connection apart from the workspace's other reads.
 */
export type Scope = { readonly workspace: string; readonly staysOpen?: true } | 'platform';

/** What tells scopes apart: those of one text see the same. */
export function scopeText(scope: Scope): string {
  return scope === 'platform' ? '' : scope.workspace;
}

/**
 * The API's door to declared rows. Implemented on Postgres and in memory, under one contract suite.
 *
 * Invariants
 * R1  `mutate` is one transaction; its first statement locks the shard's row, so `decide` sees nothing stale.
 * R2  `decide` is pure and synchronous; it throws to refuse, and then nothing is written.
 * R3  Versions become visible in order and without gaps.
 * R4  Mutations that wait for each other may share a transaction: each decides on what those before it leave, and a refusal is its own.
 * R5  After commit the shard is signalled to workers and watchers; losing the signal costs only the poll interval.
 * R6  Bare: labels, annotations, spec and status of what is read are empty. They may be heavy, and who wants to know how rows stand asks
 *     again and again.
 */
export interface ResourceStore {
  mutate(input: MutationInput): Promise<MutationOutcome>;
  get(scope: Scope, key: ResourceKey): Promise<ResourceView | null>;
  /** By key, all of one workspace, in no order; missing ones are left out. */
  getByKeys(scope: Scope, workspace: string, keys: readonly ResourceKey[]): Promise<readonly ResourceView[]>;
  /** By uid, in no order; missing ones are left out. */
  getByUid(scope: Scope, workspace: string, uids: readonly string[]): Promise<readonly ResourceView[]>;
  /** As getByKeys and getByUid, bare (R6). */
  bareByKeys(scope: Scope, workspace: string, keys: readonly ResourceKey[]): Promise<readonly ResourceView[]>;
  bareByUid(scope: Scope, workspace: string, uids: readonly string[]): Promise<readonly ResourceView[]>;
  list(scope: Scope, query: ListQuery): Promise<ListPage>;
  /** Rows of a workspace, deleting ones included. Walks them all: not for every call. */
  countRows(scope: Scope, workspace: string): Promise<number>;
  /** ≤ `limit` changes after `afterVersion` of one workspace: rows ∪ tombstones by version, with the shard's version of the same snapshot. */
  changes(scope: Scope, query: ChangesQuery): Promise<ChangePage>;
  revisions(scope: Scope, input: { workspace: string; uid: string; limit: number }): Promise<readonly Revision[]>;
  passes(scope: Scope, input: { workspace: string; uid: string; limit: number }): Promise<readonly StoredPass[]>;
  /** Direct children of a row, deleting ones included. */
  children(scope: Scope, input: { workspace: string; uid: string }): Promise<readonly ResourceView[]>;
  /** What a person may decide in a workspace (all, for platform): intents unknown or sending past give_up_at, and contradicted ones. */
  unknowns(scope: Scope, input: { workspace?: string; limit: number }): Promise<readonly UnknownIntent[]>;
  /** Inserts a decision and fires `decision:<uid>`. False: nothing of that effect is to be decided (yet). */
  decide(
    scope: Scope,
    input: { key: ResourceKey; decision: Omit<Decision, 'at'>; recording?: Recording },
  ): Promise<boolean>;
}

/** Rows that one mutation may read. */
export const readsMax = 2_000;

/** A mutation leads to more rows than it may read. */
export function tooManyReads(): ApiError {
  const message = `This call leads to more than ${readsMax} rows: those it names, and all that these refer to. Name fewer in one call, or let them refer to fewer rows.`;
  return validationError([{ path: '', message, allowed: { rowsMax: readsMax } }]);
}

export interface MutationInput {
  readonly scope: Scope;
  readonly workspace: string;
  /** Rows to read by key, and what each found row leads to (for cycles and quotas), ≤ `readsMax` rows: more are VALIDATION. */
  readonly reads: readonly ResourceKey[];
  readonly follow: (row: ResourceRow) => readonly ResourceKey[];
  /** Also read the children of this uid. */
  readonly childrenOf?: string;
  readonly planHash?: string;
  /** Idempotency: looked up before `decide`, stored with the results after it. */
  readonly request?: { readonly lineage: string; readonly requestId: string; readonly bodyDigest: string };
  readonly audit?: AuditEntry;
  /** Pure: it may be asked more than once. Must not write when snapshot.request is set. Throws to refuse. */
  readonly decide: (snapshot: MutationSnapshot) => readonly RowWrite[];
}

export interface MutationOutcome {
  readonly snapshot: MutationSnapshot;
  readonly writes: readonly RowWrite[];
  /** uid and generation after each write, in the order of `writes`. */
  readonly results: readonly { readonly uid: string; readonly generation: number }[];
  /** The rows as they are after the transaction: those written. */
  readonly views: readonly ResourceView[];
}

export interface ChangesQuery {
  readonly workspace: string;
  readonly afterVersion: number;
  readonly limit: number;
  readonly bare?: true;
}

export interface ListQuery {
  /** Absent: all (platform scope only). */
  readonly workspace?: string;
  readonly kind?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly condition?: { readonly type: string; readonly status?: string; readonly reason?: string };
  readonly owner?: string;
  readonly limit: number;
  /** Continue after this key, in the order workspace, kind, name. */
  readonly after?: ResourceKey;
}

export interface ListPage {
  readonly items: readonly ResourceView[];
  readonly more: boolean;
  /** Shard's version of the same snapshot; null without workspace. */
  readonly version: number | null;
}

export type FeedChange =
  | { readonly type: 'row'; readonly version: number; readonly view: ResourceView }
  | {
      readonly type: 'tombstone';
      readonly version: number;
      readonly key: ResourceKey;
      readonly uid: string;
      readonly labels: Readonly<Record<string, string>>;
    };

export interface ChangePage {
  readonly changes: readonly FeedChange[];
  readonly full: boolean;
  readonly version: number;
  /** Cursors below this have lost tombstones: CURSOR_EXPIRED. */
  readonly trimmedThrough: number;
}

export interface UnknownIntent {
  readonly key: ResourceKey;
  readonly uid: string;
  readonly effect: string;
  readonly attempt: number;
  readonly state: string;
  readonly sentAt: number | null;
  readonly giveUpAt: number | null;
  /** It took effect after it had been given up: it may exist twice. */
  readonly contradicts: boolean;
}

/** A hint that something in these shards changed; a lost one costs only the poll interval (law 2). */
export interface Signals {
  /** Called after commit; coalesced to at most one NOTIFY per 10 ms per process. */
  signal(shards: readonly number[]): void;
  /** Hears signals of all processes; also called with `null` after each reconnect: everything may have changed. */
  onSignal(listener: (shards: readonly number[] | null) => void): () => void;
}
