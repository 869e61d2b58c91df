import { jittered } from '#controller/clock.ts';
import type { EngineOptions } from '#controller/options.ts';

/**
 * When a row is looked at again. Pure: `random` is a number in [0, 1). Backoff is for errors; waiting for a provider is a verdict
 * with its own delay and counts no attempt.
 */

/** Lower end of the full jitter: two tries of one row are never closer than this. */
export const backoffFloorMs = 100;

/** Delay before attempt + 1: 1 s doubling to 5 min, full jitter (architecture §5, Outcomes). `attempt` starts at 1. */
export function retryDelayMs(attempt: number, random: number, options: EngineOptions): number {
  const ceiling = Math.min(options.backoffMaxMs, options.backoffFirstMs * 2 ** Math.min(attempt - 1, 30));
  return Math.max(backoffFloorMs, Math.round(ceiling * random));
}

/** Every parked row is due again within 10 min ± 20 %, whatever its topics do. */
export function parkedDelayMs(random: number, options: EngineOptions): number {
  return jittered(options.parkedMs, 0.2, random);
}

/** After a bug in our own code: a minute doubling to the parked interval, ± 20 %. */
export function bugDelayMs(attempt: number, random: number, options: EngineOptions): number {
  const slow = Math.min(options.parkedMs, 60_000 * 2 ** Math.min(attempt - 1, 10));
  return jittered(slow, 0.2, random);
}

/**
 * Doubling without a counter: the next look is as far away as the thing is old, between `firstMs` and `maxMs`.
 * `elapsedMs` is the time since it began; less than nothing counts as nothing.
 */
export function doublingDelayMs(elapsedMs: number, firstMs: number, maxMs: number): number {
  return Math.min(maxMs, Math.max(firstMs, elapsedMs));
}
