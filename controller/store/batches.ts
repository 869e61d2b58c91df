import type { Clock } from '#controller/clock.ts';

/**
 * Group commit. What would wait for the same lock anyway waits here instead, holding no connection, and is carried out together.
 *
 * B1  An item that finds its lane and a place idle is carried out at once, alone. A lane carries out one batch at a time, so it holds one
 *     connection; all lanes together `atOnce`, in turn, of which `atWork` are at work: one that only waits, for the disk or a lock, has given
 *     its place to the next. A batch is made up when its turn comes: the busier, the larger.
 * B2  Each item has its own outcome: a refusal is its submitter's alone.
 * B3  A batch that fails as a whole is carried out again one item at a time, so that only the culprit fails.
 * B4  An item that waits longer than `patienceMs` fails: whoever asked has given up, or will.
 * B5  An item may be put off to the next batch of its lane, behind what it conflicts with; the first of a batch never is.
 */
export interface Batches<Item, Result> {
  /** Carries out an item with others of its lane. Rejects with what its own carrying out came to. */
  submit(lane: string, item: Item): Promise<Result>;
}

/** What became of one item of a batch. */
export type Outcome<Result> = { readonly ok: Result } | { readonly failed: unknown } | 'put off';

export interface BatchesInput<Item, Result> {
  /**
   * Carries out all of them, or rejects and has carried out none. One outcome for each, in order. Calls `worked` when there is nothing left
   * to do but to wait; not at all does no harm, nor does twice.
   */
  readonly carryOut: (items: readonly Item[], worked: () => void) => Promise<readonly Outcome<Result>[]>;
  /** How much of a batch an item takes. */
  readonly weightOf: (item: Item) => number;
  /** Batches under way, of all lanes: each holds a connection. */
  readonly atOnce: number;
  /** Batches at work, of all lanes: more would only share the processors, and each carry less. */
  readonly atWork: number;
  /** One under way for longer is not at work, but waits. */
  readonly workMs: number;
  readonly itemsMax: number;
  /** Of all items of a batch together; an item may be heavier alone. */
  readonly weightMax: number;
  /** Whether what failed may have been the fault of one item: the others are worth another try, each alone. */
  readonly isFaultOfOne: (error: unknown) => boolean;
  readonly clock: Pick<Clock, 'after'>;
  readonly patienceMs: number;
  /** What an item fails with that waited too long. */
  readonly tooLate: () => Error;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
  stopTimer: () => void;
  late: boolean;
  /** It was in a batch that failed as a whole. */
  alone: boolean;
}

interface Lane<Item, Result> {
  readonly name: string;
  readonly queue: Waiting<Item, Result>[];
}

/** Makes lanes as they are needed; an idle one costs nothing. */
export function createBatches<Item, Result>(input: BatchesInput<Item, Result>): Batches<Item, Result> {
  const lanes = new Map<string, Lane<Item, Result>>();
  /** Lanes that wait for their turn. */
  const ready: Lane<Item, Result>[] = [];
  let [underWay, atWork] = [0, 0];

  /** Where its patience ends, it leaves the lane, or will not come back to it. */
  const enter = ({ queue }: Lane<Item, Result>, waiting: Waiting<Item, Result>): void => {
    queue.push(waiting);
    waiting.stopTimer = input.clock.after(input.patienceMs, () => {
      waiting.late = true;
      const place = queue.indexOf(waiting);
      if (place === -1) return;
      queue.splice(place, 1);
      waiting.reject(input.tooLate());
    });
  };
  /** Takes a place; answers what gives it to the next. */
  const work = (): (() => void) => {
    atWork += 1;
    let here = true;
    const leave = (): void => {
      if (!here) return;
      here = false;
      stopTimer();
      atWork -= 1;
      advance();
    };
    const stopTimer = input.clock.after(input.workMs, leave);
    return leave;
  };
  const serve = async (lane: Lane<Item, Result>): Promise<void> => {
    const { name, queue } = lane;
    const leave = work();
    const batch = queue.splice(0, fitting(input, queue));
    const left = await carriedOut(input, batch, leave);
    for (const waiting of left) if (waiting.late) waiting.reject(input.tooLate());
    queue.unshift(...left.filter((waiting) => !waiting.late));
    underWay -= 1;
    if (queue.length === 0) lanes.delete(name);
    else ready.push(lane);
    leave();
    advance();
  };
  const advance = (): void => {
    while (underWay < input.atOnce && atWork < input.atWork) {
      const lane = ready.shift();
      if (lane === undefined) return;
      underWay += 1;
      void serve(lane);
    }
  };

  return {
    submit: (name, item) =>
      new Promise((resolve, reject) => {
        const waiting = { item, resolve, reject, stopTimer: () => undefined, late: false, alone: false };
        const known = lanes.get(name);
        const lane = known ?? { name, queue: [] };
        enter(lane, waiting);
        if (known !== undefined) return;
        lanes.set(name, lane);
        ready.push(lane);
        advance();
      }),
  };
}

/** How many from the front make the next batch: at least one. */
function fitting<Item, Result>(input: BatchesInput<Item, Result>, queue: readonly Waiting<Item, Result>[]): number {
  let weight = 0;
  const end = queue.findIndex((waiting, index) => {
    weight += input.weightOf(waiting.item);
    const stays = index >= input.itemsMax || weight > input.weightMax || waiting.alone || queue[0]?.alone === true;
    return index > 0 && stays;
  });
  return end === -1 ? queue.length : end;
}

/** Carries out a batch and tells each submitter. Answers what is to be carried out next. */
async function carriedOut<Item, Result>(
  input: BatchesInput<Item, Result>,
  batch: readonly Waiting<Item, Result>[],
  worked: () => void,
): Promise<readonly Waiting<Item, Result>[]> {
  // All that waited may have left meanwhile.
  if (batch.length === 0) return [];
  let outcomes: readonly Outcome<Result>[];
  try {
    outcomes = await input.carryOut(
      batch.map((waiting) => waiting.item),
      worked,
    );
  } catch (error) {
    if (batch.length > 1 && input.isFaultOfOne(error)) {
      for (const waiting of batch) waiting.alone = true;
      return batch;
    }
    for (const waiting of batch) {
      waiting.stopTimer();
      waiting.reject(error);
    }
    return [];
  }
  return batch.filter((waiting, index) => {
    const outcome = outcomes[index] ?? { failed: new Error('a batch gave no outcome for an item') };
    if (outcome === 'put off' && index > 0) return true;
    waiting.stopTimer();
    if (outcome === 'put off') waiting.reject(new Error('the first item of a batch was put off'));
    else if ('ok' in outcome) waiting.resolve(outcome.ok);
    else waiting.reject(outcome.failed);
    return false;
  });
}
