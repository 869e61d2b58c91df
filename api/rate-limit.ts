import type { Clock } from '#controller/clock.ts';
import { ApiError } from '#resources/errors.ts';
import type { Principal } from '#resources/resource.ts';
import type { ApiOptions } from './options.ts';

/**
 * Procedures per second of each key and of all keys of each workspace, in this process: a tenant may make a thousand keys, so that a
 * limit of keys alone would be none. A batch of n takes n at once, or none.
 */
export interface RateLimiter {
  /** Throws RATE_LIMITED with retryAfterMs if the bucket of the key or of its workspace does not hold `calls`. */
  take(caller: RatedCaller, calls: number): void;
}

export interface RatedCaller {
  readonly principal: Pick<Principal, 'keyId' | 'workspace'>;
  readonly ratePerSecond: number | null;
}

interface Bucket {
  tokens: number;
  at: number;
}

/** Buckets of keys that are idle long enough to be full again are forgotten. */
const bucketsMax = 10_000;

export function createRateLimiter(deps: {
  clock: Clock;
  options: Pick<ApiOptions, 'ratePerSecondDefault' | 'ratePerTenant' | 'burstSeconds' | 'batchMax'>;
}): RateLimiter {
  const { clock, options } = deps;
  const buckets = new Map<string, Bucket>();

  const takeFrom = (name: string, { rate, calls, whose }: { rate: number; calls: number; whose: string }): void => {
    const burst = Math.max(options.batchMax, rate * options.burstSeconds);
    const now = clock.monotonic();
    const bucket = buckets.get(name) ?? { tokens: burst, at: now };
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.at) / 1_000) * rate);
    bucket.at = now;
    // Moved to the end: the first entry is the one idle for longest.
    buckets.delete(name);
    buckets.set(name, bucket);
    if (buckets.size > bucketsMax) buckets.delete(buckets.keys().next().value ?? name);
    if (bucket.tokens < calls) throw limited(whose, rate, Math.ceil(((calls - bucket.tokens) / rate) * 1_000));
    bucket.tokens -= calls;
  };
  return {
    take({ principal: { keyId, workspace }, ratePerSecond }, calls) {
      const rate = ratePerSecond ?? options.ratePerSecondDefault;
      takeFrom(`key ${keyId}`, { rate, calls, whose: 'This key' });
      if (workspace === null) return;
      // The platform may have given a key more than a workspace has: then it has that.
      const tenant = Math.max(rate, options.ratePerTenant);
      takeFrom(`workspace ${workspace}`, { rate: tenant, calls, whose: 'The keys of this workspace' });
    },
  };
}

function limited(whose: string, rate: number, retryAfterMs: number): ApiError {
  return new ApiError('RATE_LIMITED', `${whose} may call ${rate} procedures a second. Wait, then call again.`, {
    allowed: { ratePerSecond: rate },
    retryAfterMs,
  });
}
