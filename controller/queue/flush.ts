import type { Clock } from '#controller/clock.ts';
import type { Logger } from '#controller/log.ts';
import type { EngineOptions } from '#controller/options.ts';
import { isSilence } from '#controller/pass/scope.ts';
import type { EngineStore } from '#controller/store/engine-store.ts';
import type { Settle, SettleResult } from '#controller/store/rows.ts';

/**
 * Settles of many passes in one statement per shard (architecture §4, Batches): at 200 rows, when no other pass of the shard is under way,
 * or 5 ms after that shard's first row; one batch of a shard at a time, at most four in flight.
 *
 * 1. A batch that the database refuses is halved until the culprit stands alone; what `culprit` makes of it is written instead.
 * 2. A batch that the database does not answer is sent again: repeating a settle is harmless.
 */
export interface Flusher {
  /** Resolves when the settle is written, or fenced off. Rejects if the store does not answer: the lease lapses. */
  settle(settle: Settle, culprit: () => Settle): Promise<SettleResult>;
  /** Resolves when nothing is waiting or in flight. */
  drained(): Promise<void>;
}

export interface FlusherInput {
  readonly store: Pick<EngineStore, 'settle'>;
  readonly clock: Clock;
  readonly options: EngineOptions;
  readonly log: Logger;
  readonly onFlushed: (shard: number) => void;
  /** Passes of the shard that are under way, those included that wait here: with none to come, waiting longer gathers nothing. */
  readonly underWay: (shard: number) => number;
}

interface Waiting {
  readonly settle: Settle;
  readonly culprit: () => Settle;
  readonly resolve: (result: SettleResult) => void;
  readonly reject: (error: unknown) => void;
}

interface Queue {
  rows: Waiting[];
  /** Due to be flushed: full, or its time is over. */
  ripe: boolean;
  flying: boolean;
}

/** One flusher per engine. */
export function createFlusher(input: FlusherInput): Flusher {
  const { clock, options } = input;
  const queues = new Map<number, Queue>();
  let inFlight = 0;
  let idle: (() => void)[] = [];

  const pump = (): void => {
    for (const [shard, queue] of queues) {
      if (inFlight >= options.settleInFlightMax) return;
      if (!queue.ripe || queue.flying || queue.rows.length === 0) continue;
      const batch = queue.rows.splice(0, options.settleBatchMax);
      queue.ripe = queue.rows.length > 0;
      queue.flying = true;
      inFlight += 1;
      // To the end of the line, so that a busy shard does not hold up the others.
      queues.delete(shard);
      queues.set(shard, queue);
      void write(input, shard, batch).finally(() => {
        inFlight -= 1;
        queue.flying = false;
        if (queue.rows.length === 0) queues.delete(shard);
        input.onFlushed(shard);
        pump();
        if (queues.size === 0) wakeIdle();
      });
    }
  };
  const wakeIdle = (): void => {
    for (const resolve of idle) resolve();
    idle = [];
  };
  const ripen = (shard: number): void => {
    const queue = queues.get(shard);
    if (queue === undefined) return;
    queue.ripe = true;
    pump();
  };
  return {
    settle(settle, culprit) {
      const queue = queues.get(settle.shard) ?? { rows: [], ripe: false, flying: false };
      queues.set(settle.shard, queue);
      return new Promise((resolve, reject) => {
        queue.rows.push({ settle, culprit, resolve, reject });
        if (queue.rows.length === 1) clock.after(options.settleWaitMs, () => ripen(settle.shard));
        const all = Math.min(options.settleBatchMax, input.underWay(settle.shard));
        if (queue.rows.length >= all) ripen(settle.shard);
      });
    },
    drained() {
      return queues.size === 0 ? Promise.resolve() : new Promise((resolve) => idle.push(resolve));
    },
  };
}

/** Writes a batch; every waiting pass hears its own result. Never rejects. */
async function write(input: FlusherInput, shard: number, batch: readonly Waiting[]): Promise<void> {
  try {
    const settles = batch.map((waiting) => waiting.settle);
    const results = await answered(input, shard, settles);
    for (const { settle, resolve } of batch) resolve(results.get(settle.uid) ?? 'fenced');
  } catch (error) {
    if (isSilence(error)) {
      for (const { reject } of batch) reject(error);
      return;
    }
    await bisect(input, { shard, batch, error });
  }
}

async function bisect(
  input: FlusherInput,
  { shard, batch, error }: { shard: number; batch: readonly Waiting[]; error: unknown },
): Promise<void> {
  const [only] = batch;
  if (batch.length > 1) {
    const middle = Math.ceil(batch.length / 2);
    await write(input, shard, batch.slice(0, middle));
    await write(input, shard, batch.slice(middle));
    return;
  }
  if (only === undefined) return;
  input.log.error({ error, uid: only.settle.uid }, 'The database refused a settle; the row settles as InternalError');
  try {
    const results = await answered(input, shard, [only.culprit()]);
    only.resolve(results.get(only.settle.uid) ?? 'fenced');
  } catch (second) {
    only.reject(second);
  }
}

/** Tries again while the database is silent, a bounded number of times. */
async function answered(
  { store, clock, options }: FlusherInput,
  shard: number,
  settles: readonly Settle[],
): Promise<ReadonlyMap<string, SettleResult>> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await store.settle(shard, settles);
    } catch (error) {
      if (!isSilence(error) || tried >= options.writeTriesMax) throw error;
      await clock.sleep(options.writeRetryMs * tried);
    }
  }
}
