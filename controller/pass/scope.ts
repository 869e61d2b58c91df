import type { KindRegistry } from '#resources/registry.ts';
import type { Ms, ResourceRow } from '#resources/resource.ts';
import type { Topic } from '#resources/topic.ts';
import type { Clock, Rng } from '#controller/clock.ts';
import type { Timing } from '#controller/contract.ts';
import type { Gateway } from '#controller/gateway/types.ts';
import type { Inventories } from '#controller/inventory.ts';
import type { HeldLease } from '#controller/lease/lease.ts';
import type { Logger } from '#controller/log.ts';
import type { EngineOptions } from '#controller/options.ts';
import type { Account } from './outcome.ts';
import type { EngineStore } from '#controller/store/engine-store.ts';
import type { ProviderStore } from '#controller/store/provider-store.ts';
import type { CallRecord, Claim, Fence, PassRow } from '#controller/store/rows.ts';

/** What every pass of an engine works with. */
export interface PassDeps {
  readonly store: EngineStore;
  readonly providers: ProviderStore;
  readonly gateway: Gateway;
  readonly kinds: KindRegistry;
  readonly inventories: Inventories;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly options: EngineOptions;
  readonly log: Logger;
}

/**
 * Rows that several passes of one claim need, by key, read once for all of them: 32 rows asked 32 times for their Workspace, which held
 * the engine at 2,700 passes a second where it now does 4,400. Each was read AFTER the claim: a change since then moves the `wake_seq`
 * that the claim answered, or is found through the version of the read, as with a read of one's own.
 */
export type SharedReads = Map<string, Promise<{ version: number; row: ResourceRow | null }>>;

/**
 * What one pass is about, and the record of what it read and sent. Only context.ts and call.ts write the record; how the pass ends is
 * decided from it, so that a kind which swallows an error changes nothing.
 */
export interface PassScope {
  readonly claim: Claim;
  readonly fence: Fence;
  readonly passRow: PassRow;
  readonly timing: Timing;
  readonly lease: HeldLease;
  /** This pass is the probe of an open breaker: its first call passes. */
  readonly probe: boolean;
  /** Database time of the snapshot, and the monotonic time at which it had arrived. */
  readonly now: Ms;
  readonly begunAt: number;
  /** Shard version of the snapshot: the lowest that anything is read at, since all else is read after it. */
  readonly readVersion: number;
  /** What the rows of one claim share; absent: this row was not claimed. */
  readonly shared?: SharedReads;
  readonly record: PassRecordInProgress;
}

/** Of a pass that has not begun; `observedAsOf`: database time of its snapshot. */
export function newRecord(observedAsOf: Ms): PassRecordInProgress {
  return {
    listeners: new Set(),
    calls: [],
    observedAsOf,
    closed: false,
    stop: null,
    storeFailed: false,
    unknownOp: null,
    openMutations: 0,
    sentMutations: 0,
  };
}

export interface PassRecordInProgress {
  readonly listeners: Set<Topic>;
  readonly calls: CallRecord[];
  /** Database time of the oldest thing observed. */
  observedAsOf: Ms;
  /** Nothing more may be read or sent. */
  closed: boolean;
  stop: 'lost' | 'superseded' | null;
  storeFailed: boolean;
  /** A mutating call whose outcome nobody knows. */
  unknownOp: string | null;
  /** Mutating calls under way. */
  openMutations: number;
  /** Mutating calls begun. */
  sentMutations: number;
}

/** The pass is over; thrown at whatever it still tries. */
export class PassStopped extends Error {
  override readonly name = 'PassStopped';
}

/** The store did not answer; the pass cannot go on. */
export class StoreFailed extends Error {
  override readonly name = 'StoreFailed';
}

/** Whether the store said nothing of what it was asked: unavailable, or a commit's answer was lost (store/sql-errors.ts). */
export function isSilence(error: unknown): boolean {
  return error instanceof Error && (error.name === 'StoreUnavailable' || error.name === 'CommitUnknown');
}

/** The database time that it is about now: the snapshot's, moved by the monotonic time since it arrived. */
export function databaseNow(scope: PassScope, clock: Clock): Ms {
  return scope.now + Math.round(clock.monotonic() - scope.begunAt);
}

/** Ends the pass at the next thing it tries, and here. */
export function stopPass(scope: PassScope, stop: 'lost' | 'superseded'): never {
  scope.record.stop ??= stop;
  scope.record.closed = true;
  throw new PassStopped(`The pass is ${stop}`);
}

/** Runs one effect on the store; a failure of it ends the pass, whatever the kind makes of the error. */
export async function onStore<T>(scope: PassScope, effect: () => Promise<T>): Promise<T> {
  if (scope.record.closed) throw new PassStopped('The pass is over');
  try {
    return await effect();
  } catch (error) {
    scope.record.storeFailed = true;
    scope.record.closed = true;
    throw new StoreFailed('The store did not answer', { cause: error });
  }
}

/** Provider account of the call that an error came from. */
const accounts = new WeakMap<object, Account>();

/** Remembers where an error came from. */
export function blame(error: unknown, account: Account): void {
  if (typeof error === 'object' && error !== null) accounts.set(error, account);
}

/** Where an error came from, or null. */
export function blamed(error: unknown): Account | null {
  return typeof error === 'object' && error !== null ? (accounts.get(error) ?? null) : null;
}
