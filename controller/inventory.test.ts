import { describe, expect, it } from 'vitest';
import { createInventories } from './inventory.ts';
import { createVirtualClock } from './testing.ts';

function createBench(max = 10) {
  const clock = createVirtualClock();
  const inventories = createInventories({ clock, max });
  let fetched = 0;
  const fetch = async (): Promise<number> => {
    fetched += 1;
    const mine = fetched;
    await clock.sleep(100);
    return mine;
  };
  const get = (key = 'k', maxAgeMs = 1_000) => inventories.get(key, maxAgeMs, fetch);
  return { clock, inventories, get, fetched: () => fetched };
}

describe('shared listings', () => {
  it('are read once for all who ask together', async () => {
    const { clock, get, fetched } = createBench();
    const both = Promise.all([get(), get()]);
    await clock.advance(100);
    expect((await both).map((one) => one.value)).toEqual([1, 1]);
    expect(fetched()).toBe(1);
  });

  it('count as read when their reading began', async () => {
    const { clock, get } = createBench();
    const begunAt = clock.monotonic();
    const listing = get();
    await clock.advance(100);
    expect((await listing).readAt).toBe(begunAt);
  });

  it('are read again when they are older than who asks will have', async () => {
    const { clock, get } = createBench();
    void get();
    await clock.advance(1_001);
    const again = get();
    await clock.advance(100);
    expect((await again).value).toBe(2);
  });

  it('that failed fail for all who shared them, and are forgotten', async () => {
    const { inventories, clock } = createBench();
    let fail = (_error: Error): void => undefined;
    const broken = (): Promise<number> => new Promise((_resolve, reject) => (fail = reject));
    const both = Promise.allSettled([inventories.get('k', 1_000, broken), inventories.get('k', 1_000, broken)]);
    fail(new Error('down'));
    await clock.advance(0);
    expect((await both).map((one) => one.status)).toEqual(['rejected', 'rejected']);
    await expect(inventories.get('k', 1_000, () => Promise.resolve(7))).resolves.toMatchObject({ value: 7 });
  });

  it('are kept in a bounded number', async () => {
    const { clock, get, fetched } = createBench(2);
    for (const key of ['a', 'b', 'c', 'a']) {
      void get(key);
      await clock.advance(100);
    }
    expect(fetched()).toBe(4);
  });
});
