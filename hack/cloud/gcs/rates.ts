// Rates that Cloud Storage enforces (quotas page), as token buckets on the cloud's clock.
//
// The rates are the documented ones; the bursts are assumptions, chosen so that a person or a test can make a handful of buckets at once
// while a loop without a limiter is refused within seconds.

import type { CloudClock } from '#hack/cloud/clock.ts';
import { tooManyRequests } from './errors.ts';

export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

export interface GcsRates {
  /** Creating and deleting buckets, per project. */
  readonly bucketLifecycle: Rate;
  /** Changing one bucket's metadata or policy. */
  readonly bucketUpdate: Rate;
  /** Writing one object name. */
  readonly objectWrite: Rate;
}

export const GCS_RATES: GcsRates = {
  bucketLifecycle: { perSecond: 0.5, burst: 10 },
  bucketUpdate: { perSecond: 1, burst: 5 },
  objectWrite: { perSecond: 1, burst: 10 },
};

const MESSAGES: Readonly<Record<keyof GcsRates, (name: string) => string>> = {
  bucketLifecycle: () => 'The project exceeded the rate limit for creating and deleting buckets.',
  bucketUpdate: (name) =>
    `The rate of change requests to the bucket ${name} exceeds the rate limit. Please reduce your request rate.`,
  objectWrite: (name) =>
    `The object ${name} exceeded the rate limit for object mutation operations (create, update, and delete). Please reduce your request rate.`,
};

/** Names remembered at once; beyond it the longest unused half is forgotten, as if it had filled up again. */
const NAMES_MAX = 10_000;

/** Takes tokens; not persisted, since every bucket is full again after `burst / perSecond` seconds. */
export class RateLimits {
  readonly #clock: CloudClock;
  readonly #rates: GcsRates | undefined;
  #levels = new Map<string, { tokens: number; atMs: number }>();

  constructor(clock: CloudClock, rates: GcsRates | 'off') {
    this.#clock = clock;
    this.#rates = rates === 'off' ? undefined : rates;
  }

  /** Takes one token or throws 429. */
  take(rate: keyof GcsRates, name: string): void {
    const limit = this.#rates?.[rate];
    if (limit === undefined) return;
    const key = `${rate} ${name}`;
    const nowMs = this.#clock.now();
    const level = this.#levels.get(key) ?? { tokens: limit.burst, atMs: nowMs };
    const tokens = Math.min(limit.burst, level.tokens + ((nowMs - level.atMs) / 1_000) * limit.perSecond);
    if (tokens < 1) throw tooManyRequests(MESSAGES[rate](name));
    this.#levels.delete(key);
    this.#levels.set(key, { tokens: tokens - 1, atMs: nowMs });
    if (this.#levels.size > NAMES_MAX) this.#levels = new Map([...this.#levels].slice(NAMES_MAX / 2));
  }
}
