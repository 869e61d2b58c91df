// Time and chance of the local cloud. Models take both as arguments, so that a simulation can run months in a second.

/** Milliseconds since 1970-01-01T00:00:00Z, as the simulated provider sees them. */
export interface CloudClock {
  now(): number;
}

/** A stream of numbers in [0, 1). The same seed gives the same stream. */
export interface CloudRng {
  next(): number;
}

/** A clock that a test moves by hand. It never goes back. */
export interface ManualClock extends CloudClock {
  advance(ms: number): void;
}

/** The machine's clock, for `npm start` and tests over the wire. */
export const systemClock: CloudClock = { now: () => Date.now() };

/** A clock that stands still until it is advanced. */
export function manualClock(startMs: number = Date.UTC(2026, 10, 20, 8)): ManualClock {
  let nowMs = startMs;
  return {
    now: () => nowMs,
    advance(ms) {
      if (!(ms >= 0)) throw new RangeError(`advance(${ms}): milliseconds must be 0 or more`);
      nowMs += ms;
    },
  };
}

/** mulberry32: 32 bits of state, period 2^32, passes gjrand; ample for faults and ids of a simulation, never for secrets. */
export function seededRng(seed: number): CloudRng {
  let state = seed >>> 0;
  return {
    next() {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
    },
  };
}

/** FNV-1a over UTF-16 units: a stable 32-bit number for a name (project numbers, default seeds). */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
