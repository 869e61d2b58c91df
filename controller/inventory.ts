import type { Clock } from './clock.ts';

/** Listings shared by many rows of one process (Coolify allows 200 requests a minute). */
export interface Inventories {
  /** A listing begun at most `maxAgeMs` ago, else a fresh one. `readAt` is the monotonic time at which its reading began. */
  get<T>(
    key: string,
    maxAgeMs: number,
    fetch: () => Promise<T>,
  ): Promise<{ readonly value: T; readonly readAt: number }>;
}

interface Entry {
  readonly readAt: number;
  readonly value: Promise<unknown>;
}

/**
 * 1. A listing counts as read when its reading BEGAN: what changed during it may be missing.
 * 2. A failed one is forgotten, and whoever shared it hears of the failure.
 * 3. At most `max` are kept; the least recently begun goes first.
 */
export function createInventories({ clock, max }: { clock: Clock; max: number }): Inventories {
  const entries = new Map<string, Entry>();
  return {
    async get<T>(key: string, maxAgeMs: number, fetch: () => Promise<T>) {
      const known = entries.get(key);
      const fresh = known !== undefined && clock.monotonic() - known.readAt <= maxAgeMs;
      const entry = fresh ? known : { readAt: clock.monotonic(), value: fetch() };
      if (!fresh) {
        entries.delete(key);
        entries.set(key, entry);
        for (const oldest of entries.keys()) {
          if (entries.size <= max) break;
          entries.delete(oldest);
        }
      }
      try {
        return { value: (await entry.value) as T, readAt: entry.readAt };
      } catch (error) {
        if (entries.get(key) === entry) entries.delete(key);
        throw error;
      }
    },
  };
}
