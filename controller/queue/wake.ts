// Flow step 4 of 10: wake. Before: controller/store (putSpec). After: queue/claim.ts.
import type { Clock, Rng } from '#controller/clock.ts';
import { jittered } from '#controller/clock.ts';
import type { Logger } from '#controller/log.ts';
import type { EngineOptions } from '#controller/options.ts';
import type { EngineStore } from '#controller/store/engine-store.ts';
import type { Signals } from '#controller/store/resource-store.ts';

/**
 * When to look for due work. A wake says "look at this shard", never what happened: waking twice is waking once, and losing every
 * signal costs only the poll interval.
 *
 * 1. Signals within the debounce of the first are one wake-up; after a reconnect everything may have changed, so all is polled once.
 * 2. An idle worker polls every pollMs ± 20 %, with one statement for all shards.
 * 3. What this process settled to be due before the next poll is looked at when it is due.
 * 4. A signal for a shard whose rows are being worked on is remembered: after their settle the shard is looked at again.
 */
export interface Wake {
  /** Resolves with shards that may have due rows, as soon as there is a reason to look; null once stopped. */
  next(): Promise<readonly number[] | null>;
  /** Something is due at once in these shards, or (with none) may be anywhere. */
  poke(shards: readonly number[]): void;
  /** A slot came free: looks when all that come free with it have done so, since one claim of many rows costs little more than of one. */
  freed(): void;
  /** A row of the shard was settled and is due in that many ms: at once, or before the next poll would notice. */
  due(shard: number, inMs: number): void;
  /** Rows of the shard were settled: looks again if a signal came meanwhile. */
  settled(shard: number): void;
  start(): void;
  stop(): void;
  isStopped(): boolean;
}

export interface WakeInput {
  readonly store: Pick<EngineStore, 'dueShards'>;
  readonly signals: Pick<Signals, 'onSignal'>;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly options: EngineOptions;
  readonly log: Logger;
  readonly onWake?: (source: 'signal' | 'poll' | 'reconnect') => void;
  /** Hears of signalled shards at once, whoever is being waited for. */
  readonly onSignal?: (shards: readonly number[]) => void;
}

const alarmEveryMs = 50;

/** What is known to be worth a look. */
interface Reasons {
  readonly pending: Set<number>;
  /** Shards signalled while rows of theirs may be under way. */
  readonly heard: Set<number>;
  everything: boolean;
}

/** One reader at a time may wait in `next`. */
export function createWake(input: WakeInput): Wake {
  const { clock, rng, options } = input;
  const reasons: Reasons = { pending: new Set(), heard: new Set(), everything: false };
  const bell = createBell();
  let stopped = false;
  let debouncing = false;
  let unsubscribe = (): void => undefined;
  let cancelPoll = (): void => undefined;

  const poke = (shards: readonly number[]): void => {
    for (const shard of shards) reasons.pending.add(shard);
    bell.ring();
  };
  const poll = (): void => {
    reasons.everything = true;
    input.onWake?.('poll');
    bell.ring();
    cancelPoll = clock.after(jittered(options.pollMs, 0.2, rng.next()), poll);
  };
  const hear = (shards: readonly number[] | null): void => {
    input.onWake?.(shards === null ? 'reconnect' : 'signal');
    if (shards === null) reasons.everything = true;
    else input.onSignal?.(shards);
    for (const shard of shards ?? []) {
      reasons.pending.add(shard);
      reasons.heard.add(shard);
    }
    if (debouncing) return;
    debouncing = true;
    clock.after(options.wakeDebounceMs, () => {
      debouncing = false;
      bell.ring();
    });
  };
  const due = createAlarms(input, poke);
  const freed = createGathered(clock, () => bell.ring());
  return {
    poke,
    due,
    freed,
    isStopped: () => stopped,
    async next() {
      if (!stopped) await bell.rung();
      return stopped ? null : taken(reasons, input);
    },
    settled(shard) {
      if (reasons.heard.delete(shard)) poke([shard]);
    },
    start() {
      unsubscribe = input.signals.onSignal(hear);
      poll();
    },
    stop() {
      stopped = true;
      unsubscribe();
      cancelPoll();
      bell.ring();
    },
  };
}

/** One alarm for all rows of a shard that fall due together. */
function createAlarms({ clock, options }: WakeInput, poke: (shards: readonly number[]) => void): Wake['due'] {
  const alarms = new Set<string>();
  return (shard, inMs) => {
    if (inMs <= 0) return poke([shard]);
    if (inMs > options.pollMs) return;
    const at = Math.ceil((clock.monotonic() + inMs) / alarmEveryMs) * alarmEveryMs;
    const alarm = `${shard}/${at}`;
    if (alarms.has(alarm)) return;
    alarms.add(alarm);
    clock.after(at - clock.monotonic(), () => {
      alarms.delete(alarm);
      poke([shard]);
    });
  };
}

/** Calls once for all that ask in the same turn of the event loop. */
function createGathered(clock: Clock, call: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    clock.after(0, () => {
      asked = false;
      call();
    });
  };
}

/** Rings for one listener; rung while nobody listens, it is heard by the next. */
function createBell(): { ring(): void; rung(): Promise<void> } {
  let isRung = false;
  let resume = (): void => undefined;
  return {
    ring() {
      isRung = true;
      resume();
    },
    async rung() {
      if (!isRung) {
        await new Promise<void>((resolve) => {
          resume = resolve;
        });
      }
      isRung = false;
    },
  };
}

async function taken(reasons: Reasons, input: WakeInput): Promise<readonly number[]> {
  const { everything } = reasons;
  // Before the question: what comes while it is asked is a reason to ask again.
  reasons.everything = false;
  const due = everything ? await dueShards(input) : [];
  if (due === null) reasons.everything = true;
  const shards = [...new Set([...reasons.pending, ...(due ?? [])])];
  reasons.pending.clear();
  return shards;
}

/** Null: the store did not answer; the next poll asks again. */
async function dueShards({ store, log }: WakeInput): Promise<readonly number[] | null> {
  try {
    return await store.dueShards();
  } catch (error) {
    log.warn({ error }, 'Due shards could not be read; they are read again at the next poll');
    return null;
  }
}
