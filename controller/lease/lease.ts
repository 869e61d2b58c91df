import type { Clock } from '#controller/clock.ts';
import type { Logger } from '#controller/log.ts';
import type { EngineOptions } from '#controller/options.ts';
import type { EngineStore } from '#controller/store/engine-store.ts';
import type { Claim } from '#controller/store/rows.ts';

/**
 * The leases of this process (architecture §5, Leases). Every renewEveryMs all rows of a shard are renewed in one statement, while
 * the event loop answers and their pass is younger than its limit.
 *
 * 1. A lease counts from the monotonic time BEFORE the statement that gave it was sent; worker clocks never meet the database's.
 * 2. A lease whose deadline has passed, or whose uid is not among those renewed, is lost: the pass is over and sends nothing.
 */
export interface Leases {
  /** Begins to hold a claimed row. `begunAt`: monotonic, before the claim was sent. Renewed until `passMs` after it. */
  hold(claim: Claim, begunAt: number, passMs: number): HeldLease;
}

export interface HeldLease {
  readonly claim: Claim;
  /** Whether our deadline is still ahead. */
  isHeld(): boolean;
  /** A statement of ours extended the lease up to this monotonic time. */
  extendTo(deadline: number): void;
  /** Resolves when the lease is lost; never rejects. */
  readonly lost: Promise<void>;
  /** The row is settled or given back: no longer renewed. */
  drop(): void;
}

export interface LeaseInput {
  readonly store: Pick<EngineStore, 'renew'>;
  readonly holder: string;
  readonly clock: Clock;
  readonly options: EngineOptions;
  readonly log: Logger;
  readonly onLost?: () => void;
}

interface Entry {
  readonly claim: Claim;
  readonly renewUntil: number;
  deadline: number;
  lose: () => void;
}

/** No timer runs while nothing is held. */
export function createLeases(input: LeaseInput): Leases {
  const { clock, options } = input;
  const held = new Map<string, Entry>();
  let ticking = false;
  const schedule = (): void => {
    if (ticking) return;
    ticking = true;
    clock.after(options.renewEveryMs, () => {
      ticking = false;
      void renewAll(input, held);
      if (held.size > 0) schedule();
    });
  };
  return {
    hold(claim, begunAt, passMs) {
      let lose = (): void => undefined;
      const lost = new Promise<void>((resolve) => {
        lose = resolve;
      });
      const entry = { claim, renewUntil: begunAt + passMs, deadline: begunAt + options.leaseMs, lose };
      held.set(claim.uid, entry);
      schedule();
      return {
        claim,
        lost,
        isHeld: () => held.get(claim.uid) === entry && clock.monotonic() < entry.deadline,
        extendTo: (deadline) => {
          entry.deadline = Math.max(entry.deadline, deadline);
        },
        drop: () => {
          if (held.get(claim.uid) === entry) held.delete(claim.uid);
        },
      };
    },
  };
}

async function renewAll(input: LeaseInput, held: Map<string, Entry>): Promise<void> {
  const now = input.clock.monotonic();
  const shards = new Map<number, Entry[]>();
  for (const entry of held.values()) {
    if (now >= entry.deadline) lose(input, held, entry);
    else if (now < entry.renewUntil) {
      shards.set(entry.claim.shard, [...(shards.get(entry.claim.shard) ?? []), entry]);
    }
  }
  await Promise.all([...shards].map(([shard, entries]) => renewShard(input, held, { shard, entries })));
}

async function renewShard(
  input: LeaseInput,
  held: Map<string, Entry>,
  { shard, entries }: { shard: number; entries: readonly Entry[] },
): Promise<void> {
  const { leaseMs } = input.options;
  const askedAt = input.clock.monotonic();
  const uids = entries.map((entry) => entry.claim.uid).sort();
  try {
    const renewed = new Set(await input.store.renew({ shard, holder: input.holder, uids, leaseMs }));
    for (const entry of entries) {
      if (renewed.has(entry.claim.uid)) entry.deadline = Math.max(entry.deadline, askedAt + leaseMs);
      else lose(input, held, entry);
    }
  } catch (error) {
    input.log.warn({ error, shard }, 'Leases were not renewed; they are tried again until they lapse');
  }
}

function lose(input: LeaseInput, held: Map<string, Entry>, entry: Entry): void {
  if (held.get(entry.claim.uid) !== entry) return;
  held.delete(entry.claim.uid);
  input.onLost?.();
  entry.lose();
}
