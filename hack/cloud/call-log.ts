// What was asked of the local cloud, and what came of it: the oracle counts creates and deletes here.

import type { CloudClock } from './clock.ts';

/** One call that reached the cloud. `outcome` is "ok", "error:<status>", "fault:<fault>" or "late:<ok|error:status>". */
export interface CallEntry {
  /** 1, 2, 3 … over all providers; the cursor of `after`. */
  readonly n: number;
  /** ISO-8601 by the cloud's clock. */
  readonly at: string;
  readonly provider: string;
  readonly op: string;
  readonly name: string;
  readonly outcome: string;
}

/** How many calls are kept; older ones are forgotten. */
export const CALLS_KEPT_MAX = 100_000;

/** The calls of all providers, the newest `CALLS_KEPT_MAX`. Not persisted: numbers start again with the process. */
export class CallLog {
  readonly #clock: CloudClock;
  readonly #keptMax: number;
  readonly #ring: CallEntry[] = [];
  #count = 0;

  constructor(clock: CloudClock, keptMax: number = CALLS_KEPT_MAX) {
    this.#clock = clock;
    this.#keptMax = keptMax;
  }

  add(call: { provider: string; op: string; name: string; outcome: string }): void {
    const entry = { n: this.#count + 1, at: new Date(this.#clock.now()).toISOString(), ...call };
    this.#ring[this.#count % this.#keptMax] = entry;
    this.#count += 1;
  }

  /** Calls with n > after, oldest first, and the cursor to continue from. */
  since(after = 0, provider?: string): { calls: CallEntry[]; next: number } {
    const calls: CallEntry[] = [];
    const oldest = Math.max(after, this.#count - this.#keptMax);
    for (let index = oldest; index < this.#count; index += 1) {
      const entry = this.#ring[index % this.#keptMax];
      if (entry !== undefined && (provider === undefined || entry.provider === provider)) calls.push(entry);
    }
    return { calls, next: this.#count };
  }
}
