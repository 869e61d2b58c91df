import type { Ms } from '#resources/resource.ts';
import type { Recording } from './recording.ts';

export type ReplayState = 'filling' | 'running' | 'suspended' | 'done' | 'cancelled';

export interface ReplaySelector {
  readonly workspace?: string;
  readonly kind?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly condition?: { readonly type: string; readonly status?: string; readonly reason?: string };
  readonly names?: readonly string[];
}

export interface ReplayRow {
  readonly id: string;
  readonly state: ReplayState;
  readonly selector: ReplaySelector;
  readonly ratePerSecond: number;
  readonly createdBy: string;
  readonly createdAt: Ms;
  readonly finishedAt: Ms | null;
  readonly total: number;
  readonly waiting: number;
  readonly asked: number;
  readonly done: number;
  readonly healed: number;
  readonly unchanged: number;
  readonly failing: readonly { readonly reason: string; readonly count: number }[];
}

/** Replays (architecture §5, Replay). The `engine*` methods are the controller's; the rest is the API's. */
export interface ReplayStore {
  /** A repeat with the same (createdBy lineage, requestId) answers the first one. */
  create(
    input: {
      id: string;
      selector: ReplaySelector;
      ratePerSecond: number;
      createdBy: string;
      requestId?: string;
    },
    recording?: Recording,
  ): Promise<ReplayRow>;
  get(id: string): Promise<ReplayRow | null>;
  list(limit: number): Promise<readonly ReplayRow[]>;
  /** suspend: running|filling → suspended; resume: back; cancel: any unfinished → cancelled. Null: unknown id. Unchanged where it does not apply. */
  setState(id: string, wish: 'suspend' | 'resume' | 'cancel', recording?: Recording): Promise<ReplayRow | null>;

  /** Leases one unfinished replay for leaseMs; null: none, or held by another. */
  engineLease(
    holder: string,
    leaseMs: number,
  ): Promise<{
    readonly id: string;
    readonly state: ReplayState;
    readonly ratePerSecond: number;
    readonly filledThrough: number;
  } | null>;
  /** Fills the items of one shard (suspended and finished `once` rows left out), then moves filledThrough; the last shard sets running. */
  engineFill(input: {
    id: string;
    shard: number;
    ranks: Readonly<Record<string, number>>;
    onceKinds: readonly string[];
  }): Promise<number>;
  /** Asks up to `count` waiting items in the order (rank, shard, uid) whose rank may begin; sets asked_at and makes the rows due. */
  engineAsk(input: { id: string; count: number; rankPatienceMs: number }): Promise<number>;
  /** Marks items done whose row passed since asked; finishes the replay when none is left. Answers items left. */
  engineCheck(id: string): Promise<number>;
}
