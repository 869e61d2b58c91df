import type { AuditEntry, RecordedRequest, Recording } from './recording.ts';
import type { Scope } from './resource-store.ts';
import type { ApiKeyRow, OperationRow, StoredPlan } from './rows.ts';

/** How a key is to be made. */
export interface KeyWish {
  readonly recording: Recording;
  readonly holdingMax: number;
}

export interface KeyQuery {
  /** Null: the platform-wide ones. */
  readonly workspace: string | null;
  readonly limit: number;
  /** Continue after this key. */
  readonly after?: Pick<ApiKeyRow, 'createdAt' | 'id'>;
}

export interface KeyPage {
  readonly items: readonly ApiKeyRow[];
  readonly more: boolean;
}

/** Keys, audit, operations and plans: what only the API and the reader ask for. On Postgres only. A recording is written with its change. */
export interface AdminStore {
  /**
   * Runs before the workspace is known, under `SET LOCAL vibn.key`. `whose`: an owner's name, if the key was found before. Looks for the keys
   * of one owner, and for those that were not, wait for each other and for nobody else's. Throws LaneFull.
   */
  findKey(id: string, whose?: string): Promise<ApiKeyRow | null>;
  /**
   * Answers null; or, if as many keys of its workspace hold as `holdingMax` says, or more, how many do: then none was made. Of two that are
   * made at once, the second counts the first.
   */
  createKey(scope: Scope, key: ApiKeyRow, wish?: KeyWish): Promise<number | null>;
  /** Oldest first. Dead ones are among them until they are trimmed. */
  listKeys(scope: Scope, query: KeyQuery): Promise<KeyPage>;
  /** False: no such key in the scope. */
  revokeKey(scope: Scope, id: string, recording?: Recording): Promise<boolean>;
  /** At most once a minute a key. */
  touchKey(id: string, whose: string): Promise<void>;
  /** Appends to the workspace's hash chain. */
  audit(scope: Scope, workspace: string | null, entry: AuditEntry): Promise<void>;
  /** A non-resource request that is remembered, or null. */
  findRequest(
    scope: Scope,
    input: { workspace: string | null; lineage: string; requestId: string },
  ): Promise<RecordedRequest | null>;
  listOperations(
    scope: Scope,
    input: { workspace: string; uid?: string; limit: number },
  ): Promise<readonly OperationRow[]>;
  getOperation(scope: Scope, input: { workspace: string; uid: string; key: string }): Promise<OperationRow | null>;
  /** Recorded even if there is none under way any more: a repeat is told so too. */
  cancelOperation(
    scope: Scope,
    input: { workspace: string; uid: string; key: string },
    recording?: Recording,
  ): Promise<boolean>;
  /** Reader only. */
  writePlans(workspace: string, plans: readonly StoredPlan[]): Promise<void>;
  /** Whether the database answers. */
  ping(): Promise<void>;
}
