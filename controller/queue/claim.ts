// Flow step 5 of 10: claim. Before: queue/wake.ts. After: pass.ts.
import type { Clock } from '#controller/clock.ts';
import type { EngineOptions } from '#controller/options.ts';
import type { SharedReads } from '#controller/pass/scope.ts';
import type { ClaimInput, EngineStore } from '#controller/store/engine-store.ts';
import type { Claim, PassRow } from '#controller/store/rows.ts';

/**
 * Takes due rows up to the free slots (architecture §5, Leases, fairness). A claim drains one shard and rotates, since the size of a
 * batch is everything; a second statement then reads the rows in a fresh snapshot. Several claims of different shards may be under way:
 * one after the other, the process was idle for half of its time.
 *
 * 1. Never more than there are free slots, those counted as taken that claims under way may fill; a claim under way is never cancelled.
 * 2. A shard is asked until it gives no more than one row: a claim looks at two rows at least of each workspace, and at few more where
 *    many workspaces have rows under way, so that less than was asked for is not yet all that is due.
 * 3. While another shard or workspace waits, none has more than half of the slots; and where it has, taken while it was alone or the window
 *    wide, it counts as half for the others: a tenant whose passes turned slow kept all others waiting (14.8 s).
 * 4. A shard of which a signal came goes before the others in every second claim: a user's edit during a resync of all shards waited for
 *    its shard's turn, a whole round of claims (p50 84 ms). Only every second, so that however many signals come, each shard has its turn.
 * 5. The window of passes (window.ts) is as it began for `urgentMs` after such a signal: what is claimed stands in front of it in each
 *    queue on its way, and with four times as many rows under way an edit waited for three times as long (p50 276 ms).
 * 6. A claim that goes on with a shard begins at the first row of the one before: what was due earlier is claimed. What has become so since
 *    was signalled, or the poll finds it; a shard that was noted or urged is looked at from its beginning. Under an old snapshot the dead
 *    entries before that row cost ten times the claim (store/engine/claim-rows.ts).
 */
export interface Claimer {
  /** These shards may have due rows. */
  note(shards: readonly number[]): void;
  /** Something in these shards has just become due. */
  urge(shards: readonly number[]): void;
  /** Whether some shard may still have due rows. */
  hasMore(): boolean;
  /**
   * One claim: the rows of one shard, with their snapshot; null: nothing to claim, or no slot. Rejects if the store does. `start` puts the
   * rows in flight, before the slots they were claimed for are counted again.
   */
  next(inFlight: InFlight, start?: (batch: Batch) => void): Promise<Batch | null>;
}

/** What this process is working on. */
export interface InFlight {
  /** How many passes may be under way now (window.ts). */
  slots(): number;
  /** Passes, counting of each shard at most so many. */
  held(most: number): number;
  /** Passes of a shard, by workspace. */
  ofShard(shard: number): ReadonlyMap<string, number>;
}

export interface Batch {
  readonly claimed: readonly ClaimedRow[];
  readonly version: number;
  readonly now: number;
  /** Monotonic time before the claim was sent: leases count from it. */
  readonly sentAt: number;
  /** Monotonic time at which the snapshot had arrived. */
  readonly readAt: number;
  /** What its passes read of the rows that they need. */
  readonly shared: SharedReads;
}

export interface ClaimedRow {
  readonly claim: Claim;
  readonly passRow: PassRow;
}

export interface ClaimerInput {
  readonly store: Pick<EngineStore, 'claim' | 'readRows' | 'release'>;
  readonly holder: string;
  readonly clock: Clock;
  readonly options: EngineOptions;
  /** Kinds that this build knows: beside a newer build, rows of others are left to it. */
  readonly kinds: readonly string[];
}

/** Rotates over the shards noted. */
export function createClaimer(input: ClaimerInput): Claimer {
  const { clock, options } = input;
  const line = createLine();
  /** Monotonic ms of the last signal. */
  let urgedAt = -Infinity;
  const slotsOf = (inFlight: InFlight): number =>
    clock.monotonic() - urgedAt > options.urgentMs ? inFlight.slots() : Math.min(inFlight.slots(), options.slots);
  /** Rows that the claims under way may take, by shard: one claim of a shard at a time. */
  const underWay = new Map<number, number>();
  return {
    note: (noted) => line.add(noted),
    urge(noted) {
      urgedAt = clock.monotonic();
      line.add(noted, 'urged');
    },
    hasMore: () => line.length() > 0,
    async next(inFlight, start = () => undefined) {
      const full = new Set<number>();
      for (;;) {
        // Asked anew each time: shards come and go while an empty one is waited for, the empty one too: who noted it has not waited.
        const shard = line.waiting(underWay).find((one) => !full.has(one));
        const slots = slotsOf(inFlight);
        const half = Math.max(1, Math.ceil(slots / 2));
        const room = slots - inFlight.held(half) - sum(underWay.values());
        if (shard === undefined || room <= 0) return null;
        const running = [...inFlight.ofShard(shard).values()];
        const free = room - Math.max(0, sum(running) - half);
        const isAlone = line.length() === 1 && underWay.size === 0;
        const limit = isAlone ? free : Math.min(free, half - sum(running));
        if (limit <= 0) {
          full.add(shard);
          continue;
        }
        const perWorkspaceMax = Math.max(1, half - Math.max(0, ...running));
        // To the end of the line, and out of it before the statement: a shard noted while it runs is looked at again.
        const turn = line.take(shard);
        underWay.set(shard, limit);
        try {
          const batch = await claimShard(input, { shard, limit, perWorkspaceMax, ...turn.begin });
          if (batch.more) turn.goOn(batch.first);
          if (batch.claimed.length === 0) continue;
          start(batch);
          return batch;
        } catch (error) {
          turn.failed();
          throw error;
        } finally {
          underWay.delete(shard);
        }
      }
    },
  };
}

/** One shard's turn, for which it has left the line. */
interface Turn {
  /** Where its claim begins; nothing: at the beginning. */
  readonly begin: Pick<ClaimInput, 'from'>;
  /** Back into the line: there may be more, due at `first` or later (null: at any time). */
  goOn(first: number | null): void;
  /** Back into the line, as it was. */
  failed(): void;
}

/** The shards that wait for a claim. */
function createLine() {
  const shards = new Set<number>();
  const urged = new Set<number>();
  /** Where a shard is gone on with, ms. */
  const begins = new Map<number, number>();
  let urgedLast = false;
  const add = (noted: readonly number[], how: 'noted' | 'urged' = 'noted'): void => {
    for (const shard of noted) {
      shards.add(shard);
      begins.delete(shard);
      if (how === 'urged') urged.add(shard);
    }
  };
  return {
    add,
    length: () => shards.size,
    /** In the order of their turn. */
    waiting(underWay: ReadonlyMap<number, unknown>): readonly number[] {
      const waiting = Array.from(shards).filter((shard) => !underWay.has(shard));
      const first = waiting.filter((shard) => urged.has(shard));
      const [next, ...rest] = waiting.filter((shard) => !urged.has(shard));
      if (next === undefined) return first;
      return urgedLast ? [next, ...first, ...rest] : [...first, next, ...rest];
    },
    take(shard: number): Turn {
      const from = begins.get(shard);
      const how = urged.delete(shard) ? 'urged' : 'noted';
      shards.delete(shard);
      begins.delete(shard);
      urgedLast = how === 'urged';
      return {
        begin: from === undefined ? {} : { from },
        goOn(first) {
          // Noted meanwhile: what became due may be due earlier.
          if (first !== null && !shards.has(shard)) begins.set(shard, first);
          shards.add(shard);
        },
        failed: () => add([shard], how),
      };
    },
  };
}

function sum(counts: Iterable<number>): number {
  return Array.from(counts).reduce((total, count) => total + count, 0);
}

async function claimShard(
  input: ClaimerInput,
  want: Pick<ClaimInput, 'shard' | 'limit' | 'perWorkspaceMax' | 'from'>,
): Promise<Batch & { readonly more: boolean; readonly first: number | null }> {
  const { store, holder, clock, options, kinds } = input;
  const sentAt = clock.monotonic();
  const claims = await store.claim({ ...want, holder, leaseMs: options.leaseMs, kinds });
  const more = claims.length >= Math.min(want.limit, seenOfEach);
  const empty = { claimed: [], version: 0, now: 0, sentAt, readAt: sentAt, shared: new Map() };
  if (claims.length === 0) return { ...empty, more, first: null };
  const batch = await readClaimed(input, claims, sentAt);
  // One that is gone may have been the first.
  const isWhole = batch.claimed.length === claims.length;
  const first = isWhole ? Math.min(...batch.claimed.map(({ passRow }) => passRow.work.dueAt)) : null;
  return { ...batch, more, first };
}

/** Rows of one workspace that any claim looks at, however many workspaces there are (store/engine/claim-rows.ts). */
const seenOfEach = 2;

/** Reads claimed rows of one shard in a fresh snapshot; gives the claims back if that fails. Rows that are gone are left out. */
export async function readClaimed(input: ClaimerInput, claims: readonly Claim[], sentAt: number): Promise<Batch> {
  const { store, holder, clock } = input;
  const shard = claims[0]?.shard ?? 0;
  const uids = claims.map((claim) => claim.uid);
  try {
    const { version, now, rows } = await store.readRows(shard, uids);
    const byUid = new Map(rows.map((passRow) => [passRow.row.uid, passRow]));
    const claimed = claims.flatMap((claim) => {
      const passRow = byUid.get(claim.uid);
      return passRow === undefined ? [] : [{ claim, passRow }];
    });
    return { claimed, version, now, sentAt, readAt: clock.monotonic(), shared: new Map() };
  } catch (error) {
    const fences = claims.map(({ uid, epoch }) => ({ shard, uid, epoch, holder }));
    // Nothing was done with them: if this fails too, their leases lapse.
    await store.release(fences).catch(() => undefined);
    throw error;
  }
}
