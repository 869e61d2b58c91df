import { ApiError } from '#resources/errors.ts';
import type { ApiOptions } from './options.ts';

/** Counts open watches, of each key and of the process: each holds a connection. */
export interface WatchSlots {
  /** Takes a slot; throws RATE_LIMITED if all are taken. Call what it answers exactly once. */
  take(keyId: string): () => void;
}

export function createWatchSlots(options: Pick<ApiOptions, 'watchesPerKeyMax' | 'watchesMax'>): WatchSlots {
  const open = new Map<string, number>();
  let all = 0;
  return {
    take(keyId) {
      const mine = open.get(keyId) ?? 0;
      if (mine >= options.watchesPerKeyMax) throw tooMany('of this key', options.watchesPerKeyMax);
      if (all >= options.watchesMax) throw tooMany('of this server', options.watchesMax);
      open.set(keyId, mine + 1);
      all += 1;
      return () => {
        const left = (open.get(keyId) ?? 1) - 1;
        if (left === 0) open.delete(keyId);
        else open.set(keyId, left);
        all -= 1;
      };
    },
  };
}

function tooMany(whose: string, max: number): ApiError {
  return new ApiError('RATE_LIMITED', `The ${max} open watches ${whose} are taken. Close one, then watch again.`, {
    allowed: { max },
    retryAfterMs: 1_000,
  });
}
