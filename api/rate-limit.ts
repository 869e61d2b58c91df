import type { Clock } from '#controller/clock.ts';
import { ApiError } from '#resources/errors.ts';
import type { ApiOptions } from './options.ts';

/** Procedures per second of each key, in this process. A batch of n takes n at once, or none. */
export interface RateLimiter {
  /** Throws RATE_LIMITED with retryAfterMs if the key's bucket does not hold `calls`. */
  take(keyId: string, ratePerSecond: number | null, calls: number): void;
}

interface Bucket {
  tokens: number;
  at: number;
}

/** Buckets of keys that are idle long enough to be full again are forgotten. */
const bucketsMax = 10_000;

export function createRateLimiter(deps: {
  clock: Clock;
  options: Pick<ApiOptions, 'ratePerSecondDefault' | 'burstSeconds' | 'batchMax'>;
}): RateLimiter {
  const { clock, options } = deps;
  const buckets = new Map<string, Bucket>();

  return {
    take(keyId, ratePerSecond, calls) {
      const rate = ratePerSecond ?? options.ratePerSecondDefault;
      const burst = Math.max(options.batchMax, rate * options.burstSeconds);
      const now = clock.monotonic();
      const bucket = buckets.get(keyId) ?? { tokens: burst, at: now };
      bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) / 1_000) * rate);
      bucket.at = now;
      // Moved to the end: the first entry is the one idle for longest.
      buckets.delete(keyId);
      buckets.set(keyId, bucket);
      if (buckets.size > bucketsMax) buckets.delete(buckets.keys().next().value ?? keyId);
      if (bucket.tokens < calls) throw limited(rate, Math.ceil(((calls - bucket.tokens) / rate) * 1_000));
      bucket.tokens -= calls;
    },
  };
}

function limited(rate: number, retryAfterMs: number): ApiError {
  return new ApiError('RATE_LIMITED', `This key may call ${rate} procedures a second. Wait, then call again.`, {
    allowed: { ratePerSecond: rate },
    retryAfterMs,
  });
}
