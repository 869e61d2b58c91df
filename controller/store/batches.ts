/**
 * Group commit. What would wait for the same lock anyway waits here instead, holding no connection, and is carried out together.
 *
 * B1  An item that finds its lane idle is carried out at once, alone. A lane carries out one batch at a time, so it holds one connection.
 * B2  Each item has its own outcome: a refusal is its submitter's alone.
 * B3  A batch that fails as a whole is carried out again one item at a time, so that only the culprit fails.
 * B4  An item may be put off to the next batch of its lane, behind what it conflicts with; the first of a batch never is.
 */
export interface Batches<Item, Result> {
  /** Carries out an item with others of its lane. Rejects with what its own carrying out came to. */
  submit(lane: string, item: Item): Promise<Result>;
}

/** What became of one item of a batch. */
export type Outcome<Result> = { readonly ok: Result } | { readonly failed: unknown } | 'put off';

export interface BatchesInput<Item, Result> {
  /** Carries out all of them, or rejects and has carried out none. One outcome for each, in order. */
  readonly carryOut: (items: readonly Item[]) => Promise<readonly Outcome<Result>[]>;
  /** How much of a batch an item takes. */
  readonly weightOf: (item: Item) => number;
  readonly itemsMax: number;
  /** Of all items of a batch together; an item may be heavier alone. */
  readonly weightMax: number;
  /** Whether what failed may have been the fault of one item: the others are worth another try, each alone. */
  readonly isFaultOfOne: (error: unknown) => boolean;
  /** Whether all that waits would fail likewise: it fails at once instead of after a deadline for each batch. */
  readonly isOutage: (error: unknown) => boolean;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
  /** It was in a batch that failed as a whole. */
  alone: boolean;
}

/** Makes lanes as they are needed; an idle one costs nothing. */
export function createBatches<Item, Result>(input: BatchesInput<Item, Result>): Batches<Item, Result> {
  const lanes = new Map<string, Waiting<Item, Result>[]>();

  const serve = async (lane: string, queue: Waiting<Item, Result>[]): Promise<void> => {
    while (queue.length > 0) {
      const batch = queue.splice(0, fitting(input, queue));
      queue.unshift(...(await carriedOut(input, batch, queue)));
    }
    lanes.delete(lane);
  };

  return {
    submit: (lane, item) =>
      new Promise((resolve, reject) => {
        const waiting = { item, resolve, reject, alone: false };
        const busy = lanes.get(lane);
        if (busy !== undefined) return void busy.push(waiting);
        const queue = [waiting];
        lanes.set(lane, queue);
        void serve(lane, queue);
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
  queue: Waiting<Item, Result>[],
): Promise<readonly Waiting<Item, Result>[]> {
  let outcomes: readonly Outcome<Result>[];
  try {
    outcomes = await input.carryOut(batch.map((waiting) => waiting.item));
  } catch (error) {
    if (batch.length > 1 && input.isFaultOfOne(error)) {
      for (const waiting of batch) waiting.alone = true;
      return batch;
    }
    const failed = input.isOutage(error) ? [...batch, ...queue.splice(0)] : batch;
    for (const waiting of failed) waiting.reject(error);
    return [];
  }
  return batch.filter((waiting, index) => {
    const outcome = outcomes[index] ?? { failed: new Error('a batch gave no outcome for an item') };
    if (outcome === 'put off' && index > 0) return true;
    if (outcome === 'put off') waiting.reject(new Error('the first item of a batch was put off'));
    else if ('ok' in outcome) waiting.resolve(outcome.ok);
    else waiting.reject(outcome.failed);
    return false;
  });
}
