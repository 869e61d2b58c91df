import type { Intent, OperationView } from '#controller/contract.ts';
import type { Json } from '#resources/json.ts';
import type { Ms, ResourceKey, ResourceRow } from '#resources/resource.ts';
import type { Topic } from '#resources/topic.ts';
import type {
  Claim,
  Fence,
  MutationSnapshot,
  Removal,
  RemovalResult,
  RowWrite,
  Settle,
  SettleResult,
  Snapshot,
  StoredPass,
} from './rows.ts';

/**
 * The engine's door to the store. Each method is ONE effect: one statement or one transaction, which a test may stop
 * before, at commit, or after it. Implemented on Postgres (sql-*.ts) and in memory (test/simulation), under one contract suite.
 *
 * Invariants
 * E1  A write that carries a Fence changes nothing unless epoch and holder match the row of `work`.
 * E2  Lock order: shards row → resources by uid → work by uid → the rest.
 * E3  A wake never makes due_at later.
 * E4  Claim and read are two statements.
 * E5  The answer of a send (`answer`) is written whoever holds the lease.
 * E6  Repeating a settle is harmless.
 */
export interface EngineStore {
  /** Shards with a due, claimable row, by the database's clock. At most 64. */
  dueShards(): Promise<readonly number[]>;
  /**
   * Claims at most `limit` due rows of one shard, fair over workspaces (`perWorkspaceMax` each while another waits), by due_at.
   * Sets lease_until, holder, epoch + 1; a row whose holder was still set stores the old lease's end in taken_over_at.
   */
  claim(input: ClaimInput): Promise<readonly Claim[]>;
  /** One fresh snapshot of claimed rows. Rows that are gone are missing. */
  readRows(shard: number, uids: readonly string[]): Promise<Snapshot>;
  /** A row by key with the shard's version of the same snapshot. Serves ctx.read. */
  readKey(key: ResourceKey): Promise<{ readonly version: number; readonly row: ResourceRow | null }>;
  /**
   * A page of the rows of a workspace owned by a row, or of given kinds (the caller filters references purely), by uid. Serves ctx.list.
   */
  listRows(input: ListInput): Promise<{ readonly version: number; readonly rows: readonly ResourceRow[] }>;
  /** A page of the rows of a workspace of all kinds but some, by uid. Serves the look for dependents, which a newer build may have made. */
  listOthers(input: ListOthersInput): Promise<readonly ResourceRow[]>;

  /** Renews all rows a holder has in one shard; answers the uids still held. */
  renew(input: { shard: number; holder: string; uids: readonly string[]; leaseMs: number }): Promise<readonly string[]>;
  /** Before each mutating call: extends the own row's lease to now + callTimeoutMs + 2 s. Null: lease lost, nothing may be sent. */
  extend(fence: Fence, callTimeoutMs: number): Promise<{ readonly wakeSeq: number } | null>;

  /** Settles passes of one shard in one batch, in order of uid. A data error rejects the whole batch: the caller bisects. */
  settle(shard: number, settles: readonly Settle[]): Promise<ReadonlyMap<string, SettleResult>>;
  /** Removes a row in one fenced transaction: writes tombstone and retained, releases the claim, fires topics. */
  settleRemoval(removal: Removal): Promise<RemovalResult>;
  /**
   * Carries out `declare` in the owner's settle transaction: reads under the lock what `reads` names and the owner's children, asks
   * the pure `decide` for writes or a refusal, writes both or, refused, nothing.
   */
  settleDeclare<Refusal>(
    input: DeclareInput<Refusal>,
  ): Promise<{ result: SettleResult } | { result: 'refused'; refusal: Refusal }>;
  /** Gives claims back unsettled (graceful stop before anything was sent): due at once, holder cleared. */
  release(fences: readonly Fence[]): Promise<void>;

  /**
   * Fenced: writes an intent `announced` (attempt = last + 1), or answers the open announced one of that effect with equal args, or the
   * done one: then nothing may be sent. Null: fenced.
   */
  announce(fence: Fence, intent: { effect: string; nonce: string; args: Json }): Promise<Intent | null>;
  /** Fenced, a commit of its own: announced → sending with give_up_at, and the lease extended. Null: fenced, or another intent is open. */
  markSending(fence: Fence, nonce: string, callTimeoutMs: number): Promise<{ readonly wakeSeq: number } | null>;
  /** Writes the answer of a send by nonce, without the fence; makes the row due. Retired attempts get `contradicts`. */
  answer(input: AnswerInput): Promise<void>;
  /** After an unknown COMMIT of markSending: retires the attempt by nonce, whatever its state. */
  retire(input: { shard: number; uid: string; nonce: string }): Promise<void>;

  /** Fenced commit before the first delete or release action. `window`: data is still protected by undo_until. */
  beginFinalizing(
    fence: Fence,
    input: { generation: number; destroysData: boolean },
  ): Promise<'begun' | 'window' | 'moved' | 'fenced'>;
  /** Fenced: an object arrived inside the window; undelete is possible again. */
  clearFinalizing(fence: Fence): Promise<void>;
  /** Fenced commit of a re-create: incarnation + 1, materialized_at = null. Answers the new incarnation, null if fenced. */
  beginRecreate(fence: Fence): Promise<number | null>;
  /** Takes a platform-wide name in its own statement. Answers whose it is now. */
  takeClaim(input: { kind: string; externalName: string; workspace: string; uid: string }): Promise<'ours' | 'taken'>;

  /** State of one long operation of a row. */
  readOperation(input: { shard: number; uid: string; key: string }): Promise<OperationView | null>;
  /** Newest passes of a row, newest first. */
  passes(input: { shard: number; uid: string; limit: number; epoch?: number }): Promise<readonly StoredPass[]>;

  /** Fires topics in one shard (engine-side causes: credentials, breaker, builds); `rowMs` between the due times of two rows. Answers rows woken. */
  fire(shard: number, topics: readonly Topic[], rowMs: number): Promise<number>;
  /** Asks for a topic to be fired in all shards, by whichever replica; asked again on its way, it goes on, and once round from there. */
  askFiring(topic: Topic, ratePerSecond: number): Promise<void>;
  /** Takes the next firing that is due, for leaseMs; or how long until one is (null: there is none). */
  takeFiring(leaseMs: number): Promise<{ readonly firing: FiringRow | null; readonly inMs: number | null }>;
  /** After it was fired in its shard: the next shard's turn is in waitMs; after the last one it is over. Asked anew meanwhile: the same's. */
  moveFiring(firing: FiringRow, waitMs: number): Promise<void>;
  /** Wakes the rest of draining topics of a shard, ≤ `limit` rows. Answers whether more is left. */
  drain(shard: number, limit: number): Promise<boolean>;
  /** Shards where a topic is draining. */
  drainingShards(): Promise<readonly number[]>;
  /** Trims by age, in bounded batches: tombstones (moving trimmed_through), passes but the newest, intents that no pass needs, topics without listeners, plans, done items, dead keys. */
  sweep(shard: number, ages: SweepAges): Promise<number>;
  /** Records a build id; true if it is new, and then `engine` is asked to be fired. */
  registerEngine(buildId: string, wakePerSecond: number): Promise<boolean>;
}

/** A topic on its way through the shards. */
export interface FiringRow {
  readonly topic: Topic;
  readonly ratePerSecond: number;
  /** Counts how often it was asked for while on its way. */
  readonly round: number;
  /** The next one to fire it in. */
  readonly shard: number;
}

export interface ClaimInput {
  readonly shard: number;
  readonly holder: string;
  readonly limit: number;
  readonly perWorkspaceMax: number;
  readonly leaseMs: number;
  /** Kinds that this build knows; absent: all. Rows of others are left to builds that know them. */
  readonly kinds?: readonly string[];
  /** Only rows due at this time or later, ms; absent: all. */
  readonly from?: Ms;
}

export interface ListInput {
  readonly shard: number;
  readonly workspace: string;
  readonly ownerUid?: string;
  readonly kinds?: readonly string[];
  /** Rows after this uid; without it, from the first. */
  readonly after?: string;
  /** Rows of this page at most; fewer: it is the last. */
  readonly limit: number;
}

export interface ListOthersInput extends Pick<ListInput, 'shard' | 'workspace' | 'after' | 'limit'> {
  readonly otherThan: readonly string[];
}

export interface DeclareInput<Refusal> {
  readonly settle: Settle;
  /** Rows to read by key before deciding, and what each found row leads to. */
  readonly reads: readonly ResourceKey[];
  readonly follow: (row: ResourceRow) => readonly ResourceKey[];
  readonly decide: (snapshot: MutationSnapshot) => readonly RowWrite[] | { readonly refused: Refusal };
}

export interface AnswerInput {
  readonly shard: number;
  readonly uid: string;
  readonly nonce: string;
  readonly state: 'done' | 'refused' | 'unknown';
  readonly result: Json;
}

export interface SweepAges {
  readonly tombstoneMs: number;
  readonly passMs: number;
  readonly topicMs: number;
  /** Keys that were revoked or have expired, trimmed with the platform's shard; absent: they are kept. */
  readonly deadKeyMs?: number;
  /** Done intents of one row and family that passes still see; older ones are kept and not read. */
  readonly doneIntentsKept: number;
  readonly batchMax: number;
}
