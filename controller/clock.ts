/**
 * The only importer of Date, timers and randomness (architecture §2, law 5). Everything else is handed a Clock and an Rng,
 * so that the world can stop time and replay a seed.
 */
export interface Clock {
  /** Wall time, ms since the epoch. Never compared with the database's time. */
  now(): number;
  /** Monotonic time in ms, for deadlines and leases. */
  monotonic(): number;
  /** Resolves after `ms`, or at once when `signal` aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls back after `ms`; returns a function that cancels. Does not keep the process alive. */
  after(ms: number, callback: () => void): () => void;
}

export interface Rng {
  /** Uniform in [0, 1). */
  next(): number;
  /** Random 128-bit UUID (version 4) text. */
  uuid(): string;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener('abort', done, { once: true });
    }),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** The machine's own randomness. */
export const systemRng: Rng = { next: () => Math.random(), uuid: () => crypto.randomUUID() };

/** `ms` moved by at most ± `share` of itself, by a number in [0, 1). */
export function jittered(ms: number, share: number, random: number): number {
  return Math.round(ms * (1 + share * (2 * random - 1)));
}

/** Milliseconds since the epoch of an ISO-8601 time; NaN for what is none. Reads no clock. */
export function parseTime(iso: string): number {
  return Date.parse(iso);
}

/** ISO-8601 text (UTC) of milliseconds since the epoch. Reads no clock. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
