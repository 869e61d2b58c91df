import { shardCount } from '#resources/shard.ts';
import type { Clock, Rng } from './clock.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { SweepOptions } from './options.ts';
import type { EngineStore } from './store/engine-store.ts';
import { createLoop } from './process/supervisor.ts';
import type { Service } from './process/supervisor.ts';

export interface SweepInput {
  readonly engine: Pick<EngineStore, 'sweep'>;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly options: SweepOptions;
}

/**
 * Trims what has served its time: tombstones, passes but the newest, intents that no pass needs to see, topics without listeners, plans, items of finished replays,
 * keys that are dead for long.
 * One shard at a time, one bounded batch at a time, evenly over the round: trimming is never what a tenant waits for. Any number of
 * replicas may do it at once; each begins at a shard of its own.
 */
export function createSweep({ engine, clock, rng, log, metrics, options }: SweepInput): Service {
  const { everyMs: _round, batchesPerVisitMax: _visit, ...ages } = options;
  const pauseMs = Math.ceil(options.everyMs / shardCount);
  let shard = Math.floor(rng.next() * shardCount);
  let batches = 0;

  const step = async (): Promise<number> => {
    const trimmed = await engine.sweep(shard, ages);
    metrics.sweptRows.inc(trimmed);
    batches += 1;
    // Another batch soon, spread over the shard's share of the round; what is left then waits for the next round.
    if (trimmed >= ages.batchMax && batches < options.batchesPerVisitMax) return pauseMs / options.batchesPerVisitMax;
    shard = (shard + 1) % shardCount;
    batches = 0;
    return pauseMs;
  };

  return createLoop({ name: 'sweep', clock, log, metrics, retryMs: pauseMs, step });
}
