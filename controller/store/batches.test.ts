import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createVirtualClock } from '#controller/testing.ts';
import { createBatches, type BatchesInput, type Outcome } from './batches.ts';

class Fault extends Error {}
class TooLate extends Error {}

type CarryOut = BatchesInput<number, string>['carryOut'];

function setup(carryOut: CarryOut, more: Partial<BatchesInput<number, string>> = {}) {
  return createBatches<number, string>({
    carryOut,
    weightOf: () => 1,
    atOnce: 8,
    atWork: 8,
    workMs: 25,
    itemsMax: 50,
    weightMax: 200,
    isFaultOfOne: (error) => error instanceof Fault,
    clock: createVirtualClock(),
    patienceMs: 1_000,
    tooLate: () => new TooLate(),
    ...more,
  });
}

const done = (items: readonly number[]): Outcome<string>[] => items.map((item) => ({ ok: `did ${item}` }));

/** Batches that end when they are told to, in order. */
function held() {
  const open: {
    items: readonly number[];
    worked: () => void;
    end: (outcomes?: readonly Outcome<string>[] | Error) => Promise<void>;
  }[] = [];
  const carryOut: CarryOut = (items, worked) =>
    new Promise((resolve, reject) => {
      const end = async (outcomes: readonly Outcome<string>[] | Error = done(items)): Promise<void> => {
        if (outcomes instanceof Error) reject(outcomes);
        else resolve(outcomes);
        for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
      };
      open.push({ items, worked, end });
    });
  return { carryOut, open };
}

const batchesOf = (open: readonly { items: readonly number[] }[]): (readonly number[])[] =>
  open.map((one) => one.items);

describe('a lane', () => {
  test('that is idle carries out an item at once, alone', () => {
    const { carryOut, open } = held();
    void setup(carryOut).submit('a', 1);
    expect(batchesOf(open)).toEqual([[1]]);
  });

  test('gathers what arrives while it is busy, and carries it out together, in order', async () => {
    const { carryOut, open } = held();
    const batches = setup(carryOut);
    const all = [1, 2, 3, 4].map((item) => batches.submit('a', item));
    expect(batchesOf(open)).toEqual([[1]]);
    await open[0]?.end();
    expect(batchesOf(open)).toEqual([[1], [2, 3, 4]]);
    await open[1]?.end();
    expect(await Promise.all(all)).toEqual(['did 1', 'did 2', 'did 3', 'did 4']);
    void batches.submit('a', 5);
    expect(batchesOf(open).at(-1)).toEqual([5]);
  });

  test('does not wait for another', () => {
    const { carryOut, open } = held();
    const batches = setup(carryOut);
    for (const lane of ['a', 'b', 'c']) for (const item of [1, 2]) void batches.submit(lane, item);
    expect(batchesOf(open)).toEqual([[1], [1], [1]]);
  });

  test('waits its turn while all places are taken, and gathers until then', async () => {
    const { carryOut, open } = held();
    const batches = setup(carryOut, { atOnce: 2 });
    for (const item of [1, 2]) for (const lane of [0, 100, 200]) void batches.submit(`lane ${lane}`, lane + item);
    expect(batchesOf(open)).toEqual([[1], [101]]);
    await open[0]?.end();
    expect(batchesOf(open).at(-1)).toEqual([201, 202]);
    await open[1]?.end();
    expect(batchesOf(open).at(-1)).toEqual([2]);
    await open[2]?.end();
    expect(batchesOf(open).at(-1)).toEqual([102]);
  });

  test('has its turn as soon as one before it only waits, but not beyond those that may be under way', async () => {
    const { carryOut, open } = held();
    const batches = setup(carryOut, { atOnce: 2, atWork: 1 });
    for (const item of [1, 2, 3]) void batches.submit(`lane ${item}`, item);
    expect(batchesOf(open)).toEqual([[1]]);
    open[0]?.worked();
    open[0]?.worked();
    expect(batchesOf(open)).toEqual([[1], [2]]);
    open[1]?.worked();
    expect(batchesOf(open)).toEqual([[1], [2]]);
    await open[0]?.end();
    expect(batchesOf(open)).toEqual([[1], [2], [3]]);
  });

  test('has its turn when one before it takes too long to be at work, even if that never says so', async () => {
    const { carryOut, open } = held();
    const clock = createVirtualClock();
    const batches = setup(carryOut, { clock, atWork: 1, workMs: 25 });
    for (const item of [1, 2, 3]) void batches.submit(`lane ${item}`, item);
    await clock.advance(24);
    expect(batchesOf(open)).toEqual([[1]]);
    await clock.advance(1);
    expect(batchesOf(open)).toEqual([[1], [2]]);
    await open[0]?.end();
    expect(batchesOf(open)).toEqual([[1], [2]]);
    await open[1]?.end();
    expect(batchesOf(open)).toEqual([[1], [2], [3]]);
  });

  test('bounds a batch by items and by weight; what is heavier goes alone', async () => {
    const { carryOut, open } = held();
    const batches = setup(carryOut, { itemsMax: 3, weightMax: 10, weightOf: (item) => item });
    for (const item of [1, 2, 2, 2, 1, 4, 7, 30, 1]) void batches.submit('a', item);
    for (let index = 0; index < open.length; index += 1) await open[index]?.end();
    expect(batchesOf(open)).toEqual([[1], [2, 2, 2], [1, 4], [7], [30], [1]]);
  });
});

describe('an item', () => {
  test('that is refused fails alone', async () => {
    const refusal = new Error('no');
    const { carryOut, open } = held();
    const batches = setup(carryOut);
    const all = [1, 2, 3].map((item) => batches.submit('a', item));
    await open[0]?.end();
    await open[1]?.end([{ failed: refusal }, { ok: 'did 3' }]);
    expect(await Promise.allSettled(all)).toMatchObject([
      { value: 'did 1' },
      { status: 'rejected', reason: refusal },
      { value: 'did 3' },
    ]);
  });

  test('that is put off comes first in the next batch', async () => {
    const { carryOut, open } = held();
    const batches = setup(carryOut, { itemsMax: 3 });
    const all = [1, 2, 3, 4, 5].map((item) => batches.submit('a', item));
    await open[0]?.end();
    await open[1]?.end([{ ok: 'did 2' }, 'put off', { ok: 'did 4' }]);
    expect(batchesOf(open)).toEqual([[1], [2, 3, 4], [3, 5]]);
    await open[2]?.end();
    expect(await Promise.all(all)).toHaveLength(5);
  });

  test('that spoils its batch fails alone, after the others were carried out one by one', async () => {
    const { carryOut, open } = held();
    const batches = setup(async (items) => {
      const held = carryOut(items, () => undefined);
      if (items.includes(3)) await open.at(-1)?.end(new Fault('poison'));
      else await open.at(-1)?.end();
      return await held;
    });
    const all = await Promise.allSettled([1, 2, 3, 4].map((item) => batches.submit('a', item)));
    expect(all.map((one) => one.status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
    expect(batchesOf(open)).toEqual([[1], [2, 3, 4], [2], [3], [4]]);
  });

  test('whose fate is unknown is not carried out again, and those that wait are', async () => {
    const { carryOut, open } = held();
    const batches = setup(carryOut, { itemsMax: 2 });
    const all = Promise.allSettled([1, 2, 3, 4].map((item) => batches.submit('a', item)));
    await open[0]?.end();
    await open[1]?.end(new Error('unknown'));
    await open[2]?.end();
    expect((await all).map((one) => one.status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
    expect(batchesOf(open)).toEqual([[1], [2, 3], [4]]);
  });
});

test('an item fails whose turn does not come in time, and the lane goes on without it', async () => {
  const clock = createVirtualClock();
  const { carryOut, open } = held();
  const batches = setup(carryOut, { clock, patienceMs: 1_000 });
  const first = batches.submit('a', 1);
  const late = batches.submit('a', 2).catch((error: unknown) => error);
  await clock.advance(600);
  const inTime = batches.submit('a', 3);
  await clock.advance(600);
  expect(await late).toBeInstanceOf(TooLate);
  await open[0]?.end();
  await clock.advance(5_000);
  await open[1]?.end();
  expect(batchesOf(open)).toEqual([[1], [3]]);
  expect(await Promise.all([first, inTime])).toEqual(['did 1', 'did 3']);
});

test('whatever is put off, refused or poisoned, each item is told of exactly once, and carried out at most once', async () => {
  const kind = fc.constantFrom('fine', 'refused', 'poison', 'conflict');
  await fc.assert(
    fc.asyncProperty(fc.array(kind, { maxLength: 40 }), fc.integer({ min: 1, max: 6 }), async (kinds, itemsMax) => {
      const carried = new Map<number, number>();
      const carryOut: CarryOut = async (items) => {
        await Promise.resolve();
        if (items.length > 1 && items.some((item) => kinds[item] === 'poison')) throw new Fault('poison');
        let conflicts = 0;
        return items.map((item) => {
          if (kinds[item] === 'poison' || kinds[item] === 'refused') return { failed: new Fault('no') };
          if (kinds[item] === 'conflict' && (conflicts += 1) > 1) return 'put off';
          carried.set(item, (carried.get(item) ?? 0) + 1);
          return { ok: `did ${item}` };
        });
      };
      const batches = setup(carryOut, { itemsMax });
      const told = await Promise.allSettled(kinds.map((_, item) => batches.submit('a', item)));
      for (const [item, one] of told.entries()) {
        const fine = kinds[item] === 'fine' || kinds[item] === 'conflict';
        expect([one.status, carried.get(item) ?? 0]).toEqual(fine ? ['fulfilled', 1] : ['rejected', 0]);
      }
    }),
  );
});
