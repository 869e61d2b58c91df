import { describe, expect, it } from 'vitest';
import { silentLogger } from '#controller/log.ts';
import { createOptions } from '#controller/options.ts';
import { makeFacts } from '#controller/pass/pass-facts-testing.ts';
import { settlePass } from '#controller/settle.ts';
import type { Settle, SettleResult } from '#controller/store/rows.ts';
import { createVirtualClock } from '#controller/testing.ts';
import { createFlusher } from './flush.ts';

const options = createOptions().engine;
const base = settlePass(makeFacts({ outcome: { type: 'superseded' } }), options);
const settleOf = (uid: string, shard = 1): Settle => ({ ...base, uid, shard });

/** A store that writes down each batch; `answer` may refuse or hold it. */
function createBench(
  answer: (uids: readonly string[]) => Promise<void> = () => Promise.resolve(),
  underWay = (_shard: number): number => Infinity,
) {
  const clock = createVirtualClock();
  const batches: string[][] = [];
  const flushed: number[] = [];
  const flusher = createFlusher({
    store: {
      async settle(_shard, settles) {
        const uids = settles.map((one) => one.uid);
        batches.push(uids);
        await answer(uids);
        return new Map(uids.map((uid): [string, SettleResult] => [uid, uid.startsWith('old') ? 'fenced' : 'settled']));
      },
    },
    clock,
    options,
    log: silentLogger,
    onFlushed: (shard) => void flushed.push(shard),
    underWay,
  });
  const settle = (uid: string, shard = 1): Promise<SettleResult> =>
    flusher.settle(settleOf(uid, shard), () => settleOf(`${uid}-harmless`, shard));
  return { clock, batches, flushed, flusher, settle };
}

const named = (name: string): Error => Object.assign(new Error(name), { name });

describe('flush', () => {
  it('writes the settles of a shard together, 5 ms after the first', async () => {
    const { clock, batches, settle, flushed } = createBench();
    void settle('a');
    await clock.advance(4);
    void settle('b');
    void settle('c', 2);
    expect(batches).toEqual([]);
    await clock.advance(1);
    expect(batches).toEqual([['a', 'b']]);
    await clock.advance(4);
    expect([batches, flushed]).toEqual([
      [['a', 'b'], ['c']],
      [1, 2],
    ]);
  });

  it('does not wait when no other pass of the shard is under way', async () => {
    const { clock, batches, settle } = createBench(undefined, (shard) => (shard === 1 ? 2 : 1));
    void settle('a');
    void settle('other', 2);
    await clock.advance(0);
    expect(batches).toEqual([['other']]);
    void settle('b');
    await clock.advance(0);
    expect(batches).toEqual([['other'], ['a', 'b']]);
  });

  it('does not wait when a batch is full', async () => {
    const { clock, batches, settle } = createBench();
    for (let row = 0; row < 201; row += 1) void settle(`u${row}`);
    await clock.advance(0);
    expect(batches.map((batch) => batch.length)).toEqual([200]);
    await clock.advance(5);
    expect(batches.map((batch) => batch.length)).toEqual([200, 1]);
  });

  it('tells each pass its own result', async () => {
    const { clock, settle } = createBench();
    const results = Promise.all([settle('a'), settle('old-b')]);
    await clock.advance(5);
    await expect(results).resolves.toEqual(['settled', 'fenced']);
  });

  it('has one batch of a shard and four in all in flight', async () => {
    const open: (() => void)[] = [];
    const { clock, batches, settle } = createBench(() => new Promise((resolve) => open.push(resolve)));
    for (const shard of [1, 2, 3, 4, 5]) void settle(`s${shard}`, shard);
    await clock.advance(5);
    void settle('again', 1);
    await clock.advance(5);
    expect(batches).toEqual([['s1'], ['s2'], ['s3'], ['s4']]);
    open.shift()?.();
    await clock.advance(0);
    expect(batches.slice(4)).toEqual([['s5']]);
    open.shift()?.();
    await clock.advance(0);
    expect(batches.slice(5)).toEqual([['again']]);
  });

  it('halves a batch that the database refuses, and writes something harmless for the culprit alone', async () => {
    const { clock, batches, settle } = createBench((uids) =>
      uids.includes('bad') ? Promise.reject(named('PostgresError')) : Promise.resolve(),
    );
    const results = Promise.all(['a', 'bad', 'c', 'd'].map((uid) => settle(uid)));
    await clock.advance(5);
    await results;
    expect(batches).toEqual([['a', 'bad', 'c', 'd'], ['a', 'bad'], ['a'], ['bad'], ['bad-harmless'], ['c', 'd']]);
  });

  it('lets the row lapse when even the harmless text is refused, and the others settle', async () => {
    const { clock, settle } = createBench((uids) =>
      uids.some((uid) => uid.startsWith('bad')) ? Promise.reject(named('PostgresError')) : Promise.resolve(),
    );
    const results = Promise.allSettled([settle('bad'), settle('c')]);
    await clock.advance(5);
    expect((await results).map((result) => result.status)).toEqual(['rejected', 'fulfilled']);
  });

  it('sends a batch again that the database did not answer', async () => {
    let tries = 0;
    const { clock, settle } = createBench(() => {
      tries += 1;
      return tries < 3 ? Promise.reject(named('CommitUnknown')) : Promise.resolve();
    });
    const result = settle('a');
    await clock.advance(5_000);
    await expect(result).resolves.toBe('settled');
    expect(tries).toBe(3);
  });

  it('gives up after a bounded number of tries, without halving', async () => {
    const { clock, batches, settle } = createBench(() => Promise.reject(named('StoreUnavailable')));
    const results = Promise.allSettled([settle('a'), settle('b')]);
    await clock.advance(60_000);
    expect((await results).map((result) => result.status)).toEqual(['rejected', 'rejected']);
    expect(batches).toHaveLength(options.writeTriesMax);
  });

  it('is drained when nothing waits and nothing is in flight', async () => {
    const { clock, flusher, settle } = createBench();
    await flusher.drained();
    void settle('a');
    let drained = false;
    void flusher.drained().then(() => (drained = true));
    await clock.advance(4);
    expect(drained).toBe(false);
    await clock.advance(1);
    expect(drained).toBe(true);
  });
});
