import type { KindRegistry } from '#resources/registry.ts';
import { shardCount } from '#resources/shard.ts';
import type { Clock } from '#controller/clock.ts';
import type { Logger } from '#controller/log.ts';
import type { Metrics } from '#controller/metrics.ts';
import type { ReplayOptions } from '#controller/options.ts';
import type { ReplayStore } from '#controller/store/replay-store.ts';
import { createLoop } from '#controller/process/supervisor.ts';
import type { Service } from '#controller/process/supervisor.ts';

/**
 * Leads replays (architecture §5, Replay): fills the items, then asks them at the replay's rate, rank by rank, until all have passed.
 *
 * P1  All progress is in the store: whoever takes the lease after a death goes on where it stood.
 * P2  Never more than `ratePerSecond` rows are asked in a second; what a late tick missed is not made up for.
 * P3  A replay is only made due rows: passes do the work, and settles know nothing of it.
 */
export interface ReplayTaskInput {
  readonly replays: Pick<ReplayStore, 'engineLease' | 'engineFill' | 'engineAsk' | 'engineCheck'>;
  readonly kinds: KindRegistry;
  /** Name of this leader; unique among all processes. */
  readonly holder: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly options: ReplayOptions;
}

type Lease = NonNullable<Awaited<ReturnType<ReplayStore['engineLease']>>>;

/** A lease is renewed, and the operator's wishes are seen, this often within it. */
const tenuresPerLease = 5;

/** Leads at most `options.lanes` replays at once, each under a holder of its own. */
export function createReplayTask(input: ReplayTaskInput): Service {
  const lanes = Array.from({ length: input.options.lanes }, (_, lane) =>
    createLane({ ...input, holder: `${input.holder}/${lane}` }),
  );
  return {
    name: 'replay',
    async start() {
      for (const lane of lanes) await lane.start();
    },
    async stop() {
      await Promise.all(lanes.map((lane) => lane.stop()));
    },
  };
}

function createLane(input: ReplayTaskInput): Service {
  const { replays, kinds, holder, clock, log, metrics, options } = input;
  let pace: Pace | null = null;
  const onceKinds = kinds.all.filter((kind) => kind.lifecycle === 'once').map((kind) => kind.name);

  const fill = async ({ id, filledThrough }: Lease, until: Until): Promise<void> => {
    for (let shard = filledThrough + 1; shard < shardCount && !until.over(); shard += 1) {
      await replays.engineFill({ id, shard, ranks: kinds.ranks, onceKinds });
    }
  };

  /** Asks and checks until the tenure is over or no item is left. */
  const lead = async ({ id, ratePerSecond }: Lease, until: Until): Promise<void> => {
    if (pace?.id !== id || pace.ratePerSecond !== ratePerSecond) pace = createPace(id, ratePerSecond, input);
    let checkAt = clock.monotonic();
    while (!until.over()) {
      const count = pace.allowed();
      const asked = count === 0 ? 0 : await replays.engineAsk({ id, count, rankPatienceMs: options.rankPatienceMs });
      pace.spent(asked);
      metrics.replayAsked.inc(asked);
      if (clock.monotonic() >= checkAt) {
        if ((await replays.engineCheck(id)) === 0) return log.info({ replay: id }, 'Replay ended');
        checkAt = clock.monotonic() + options.checkEveryMs;
      }
      await clock.sleep(options.askEveryMs, until.signal);
    }
  };

  const step = async (signal: AbortSignal): Promise<number> => {
    const lease = await replays.engineLease(holder, options.leaseMs);
    if (lease === null) return options.idleEveryMs;
    const end = clock.monotonic() + options.leaseMs / tenuresPerLease;
    const until = { signal, over: () => signal.aborted || clock.monotonic() >= end };
    if (lease.state === 'filling') await fill(lease, until);
    else if (lease.state === 'running') await lead(lease, until);
    else return options.idleEveryMs;
    return 0;
  };

  return createLoop({ name: 'replay', clock, log, metrics, retryMs: options.idleEveryMs, step });
}

interface Until {
  readonly signal: AbortSignal;
  readonly over: () => boolean;
}

/** Rows that may be asked now: rate × time, with no more saved up than one row and two ticks’ worth. */
interface Pace {
  readonly id: string;
  readonly ratePerSecond: number;
  allowed(): number;
  spent(count: number): void;
}

function createPace(id: string, ratePerSecond: number, { clock, options }: ReplayTaskInput): Pace {
  const savedMax = 1 + (ratePerSecond * options.askEveryMs * 2) / 1_000;
  let saved = 0;
  let at = clock.monotonic();
  return {
    id,
    ratePerSecond,
    allowed() {
      const now = clock.monotonic();
      saved = Math.min(savedMax, saved + (ratePerSecond * (now - at)) / 1_000);
      at = now;
      return Math.min(Math.floor(saved), options.askBatchMax);
    },
    spent(count) {
      saved -= count;
    },
  };
}
