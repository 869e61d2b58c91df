import { describe, expect, it } from 'vitest';
import { createOptions } from '#controller/options.ts';
import { makeWork } from '#controller/pass/pass-facts-testing.ts';
import type { ClaimInput } from '#controller/store/engine-store.ts';
import type { Claim, Fence } from '#controller/store/rows.ts';
import { createVirtualClock } from '#controller/testing.ts';
import { makeRow } from '#resources/testing.ts';
import { createClaimer } from './claim.ts';
import type { Batch, InFlight } from './claim.ts';

/** Shards with so many due rows each; claims take them. */
function createBench(due: Record<number, number>) {
  const asked: Pick<ClaimInput, 'shard' | 'limit' | 'perWorkspaceMax'>[] = [];
  const from: (number | null)[] = [];
  const released: Fence[] = [];
  const state = { failRead: false, failClaim: false, gone: new Set<string>(), due };
  let made = 0;
  const clock = createVirtualClock();
  const claimer = createClaimer({
    store: {
      claim({ shard, limit, perWorkspaceMax, from: begin = null }) {
        if (state.failClaim) return Promise.reject(new Error('no database'));
        asked.push({ shard, limit, perWorkspaceMax });
        from.push(begin);
        const count = Math.min(limit, due[shard] ?? 0);
        due[shard] = (due[shard] ?? 0) - count;
        return Promise.resolve(Array.from({ length: count }, () => claimOf(shard, `u${(made += 1)}`)));
      },
      readRows: (_shard, uids) =>
        state.failRead
          ? Promise.reject(new Error('no database'))
          : Promise.resolve({
              version: 9,
              now: 5,
              rows: uids.filter((uid) => !state.gone.has(uid)).map(passRowOf),
            }),
      release: (fences) => {
        released.push(...fences);
        return Promise.resolve();
      },
    },
    holder: 'w1',
    clock,
    options: createOptions({ engine: { slots: 8 } }).engine,
    kinds: ['Bucket'],
  });
  return { claimer, asked, from, released, state, clock };
}

const claimOf = (shard: number, uid: string): Claim => ({
  shard,
  uid,
  workspace: 'acme',
  kind: 'Note',
  epoch: 1,
  wakeSeq: 1,
  claimedAt: 5,
});
/** Due one after the other. */
const passRowOf = (uid: string) => ({
  row: makeRow({ uid }),
  work: makeWork({ dueAt: 1_000 + Number(uid.slice(1)) }),
  intents: [],
  decisions: [],
  revision: null,
  listeners: [],
  owner: null,
});
const total = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);
const busy = (byShard: Record<number, Record<string, number>> = {}, slots = 8): InFlight => ({
  slots: () => slots,
  held: (most) => total(Object.values(byShard).map((of) => Math.min(most, total(Object.values(of))))),
  ofShard: (shard) => new Map(Object.entries(byShard[shard] ?? {})),
});

describe('a signalled shard', () => {
  it('goes before the others in every second claim', async () => {
    const { claimer, asked } = createBench({ 1: 99, 2: 99, 3: 99, 4: 99 });
    claimer.note([1, 2, 3, 4]);
    claimer.urge([4]);
    await claimer.next(busy());
    claimer.urge([4]);
    await claimer.next(busy());
    await claimer.next(busy());
    await claimer.next(busy());
    expect(asked.map((one) => one.shard)).toEqual([4, 1, 4, 2]);
  });

  it('narrows an open window for a second: it would queue behind all that routine may have under way', async () => {
    const { claimer, asked, clock } = createBench({ 1: 99, 2: 99 });
    claimer.note([1, 2]);
    const open = busy({}, 24);
    await claimer.next(open);
    claimer.urge([2]);
    await claimer.next(open);
    await clock.advance(1_000);
    await claimer.next(open);
    await clock.advance(1);
    await claimer.next(open);
    expect(asked.map((one) => one.limit)).toEqual([12, 4, 4, 12]);
  });

  it('has its turn, and no other, when nothing else is due', async () => {
    const { claimer, asked } = createBench({ 7: 1 });
    claimer.urge([7]);
    expect((await claimer.next(busy()))?.claimed).toHaveLength(1);
    expect(await claimer.next(busy())).toBeNull();
    expect(asked).toHaveLength(1);
  });
});

describe('a claim that goes on with a shard', () => {
  it('begins at the first row of the one before, and at the beginning once that is over', async () => {
    const { claimer, from, state } = createBench({ 1: 9 });
    claimer.note([1]);
    for (let n = 0; n < 4; n += 1) await claimer.next(busy({}, 4));
    state.due[1] = 3;
    claimer.note([1]);
    await claimer.next(busy({}, 4));
    expect(from).toEqual([null, 1_001, 1_005, null]);
  });

  it.each(['note', 'urge'] as const)(
    'begins at the beginning after a %s, also one that came while it ran',
    async (how) => {
      const { claimer, from } = createBench({ 1: 99 });
      claimer.note([1]);
      await claimer.next(busy({}, 4));
      claimer[how]([1]);
      const next = claimer.next(busy({}, 4));
      claimer[how]([1]);
      await next;
      await claimer.next(busy({}, 4));
      await claimer.next(busy({}, 4));
      expect(from).toEqual([null, null, null, 1_009]);
    },
  );

  it('begins at the beginning after one that failed, and after one of whose rows one was gone', async () => {
    const { claimer, from, state } = createBench({ 1: 99 });
    claimer.note([1]);
    await claimer.next(busy({}, 4));
    state.failRead = true;
    await expect(claimer.next(busy({}, 4))).rejects.toThrow('no database');
    state.failRead = false;
    state.gone.add('u9');
    await claimer.next(busy({}, 4));
    await claimer.next(busy({}, 4));
    expect(from).toEqual([null, 1_001, null, null]);
  });
});

describe('claim', () => {
  it('that failed leaves a signalled shard its turn', async () => {
    const { claimer, asked, state } = createBench({ 1: 99, 2: 99, 7: 1 });
    claimer.note([1, 2]);
    claimer.urge([7]);
    state.failClaim = true;
    await expect(claimer.next(busy())).rejects.toThrow('no database');
    state.failClaim = false;
    await claimer.next(busy());
    await claimer.next(busy());
    expect(asked.map(({ shard }) => shard)).toEqual([1, 7]);
  });

  it('asks for no more than there are free slots', async () => {
    const { claimer, asked } = createBench({ 1: 100 });
    claimer.note([1]);
    await claimer.next(busy({ 2: { other: 3 } }));
    expect(asked).toEqual([{ shard: 1, limit: 5, perWorkspaceMax: 4 }]);
  });

  it('asks nothing while all slots are taken, and does not forget the shard', async () => {
    const { claimer, asked } = createBench({ 1: 100 });
    claimer.note([1]);
    await expect(claimer.next(busy({ 1: { acme: 8 } }))).resolves.toBeNull();
    expect([asked, claimer.hasMore()]).toEqual([[], true]);
  });

  it('asks a shard that gave less than it was asked for once more: a claim of many workspaces does not look at all rows', async () => {
    const { claimer } = createBench({ 1: 3 });
    claimer.note([1]);
    const batch = await claimer.next(busy());
    expect([batch?.claimed.length, batch?.version, claimer.hasMore()]).toEqual([3, 9, true]);
    expect([await claimer.next(busy()), claimer.hasMore()]).toEqual([null, false]);
  });

  it('forgets a shard that gave a single row, or none', async () => {
    const { claimer, asked } = createBench({ 1: 1 });
    claimer.note([1, 2]);
    expect((await claimer.next(busy()))?.claimed).toHaveLength(1);
    expect([await claimer.next(busy()), claimer.hasMore(), asked.length]).toEqual([null, false, 2]);
  });

  it('gives no shard more than half of the slots while another waits', async () => {
    const { claimer, asked } = createBench({ 1: 100, 2: 1 });
    claimer.note([1, 2]);
    await claimer.next(busy());
    await claimer.next(busy({ 1: { acme: 4 } }));
    expect(asked.map(({ shard, limit }) => [shard, limit])).toEqual([
      [1, 4],
      [2, 4],
    ]);
  });

  it('gives a shard its half though another has taken all and more, while it was alone or the window wide', async () => {
    const { claimer, asked } = createBench({ 1: 100, 2: 100 });
    claimer.note([1, 2]);
    await claimer.next(busy({ 1: { acme: 20 } }));
    expect(await claimer.next(busy({ 1: { acme: 20 }, 2: { other: 4 } }))).toBeNull();
    expect(asked).toEqual([{ shard: 2, limit: 4, perWorkspaceMax: 4 }]);
  });

  it('passes over a shard that has its half, so that the other one is reached', async () => {
    const { claimer, asked } = createBench({ 1: 100, 2: 1 });
    claimer.note([1, 2]);
    await claimer.next(busy({ 1: { acme: 5 } }));
    expect(asked.map(({ shard }) => shard)).toEqual([2]);
  });

  it('rotates: a shard with more goes to the end of the line', async () => {
    const { claimer, asked } = createBench({ 1: 100, 2: 100, 3: 100 });
    claimer.note([1, 2, 3]);
    for (let turn = 0; turn < 4; turn += 1) await claimer.next(busy());
    expect(asked.map(({ shard }) => shard)).toEqual([1, 2, 3, 1]);
  });

  it('leaves room for other workspaces of the shard beside one that is busy', async () => {
    const { claimer, asked } = createBench({ 1: 100 });
    claimer.note([1]);
    await claimer.next(busy({ 1: { acme: 3 } }));
    expect(asked).toEqual([{ shard: 1, limit: 5, perWorkspaceMax: 1 }]);
  });

  it('counts slots as taken that claims under way may fill, until their rows are in flight', async () => {
    const { claimer, asked } = createBench({ 1: 100, 2: 100, 3: 100 });
    claimer.note([1, 2, 3]);
    const running = busy({ 9: { other: 2 } });
    let inFlight = 2;
    const idle: InFlight = {
      slots: () => 8,
      held: () => inFlight,
      ofShard: (shard) => running.ofShard(shard),
    };
    const start = (batch: Batch): void => {
      inFlight += batch.claimed.length;
    };
    await Promise.all([claimer.next(idle, start), claimer.next(idle, start), claimer.next(idle, start)]);
    expect([asked.map(({ shard, limit }) => [shard, limit]), inFlight]).toEqual([
      [
        [1, 4],
        [2, 2],
      ],
      8,
    ]);
  });

  it('makes one claim of a shard at a time', async () => {
    const { claimer, asked } = createBench({ 1: 100 });
    claimer.note([1]);
    const first = claimer.next(busy());
    claimer.note([1]);
    expect(await claimer.next(busy())).toBeNull();
    await first;
    expect(asked).toHaveLength(1);
    expect(claimer.hasMore()).toBe(true);
  });

  it('looks at a shard that was noted while it waited for an empty one', async () => {
    const { claimer } = createBench({ 1: 0, 2: 1 });
    claimer.note([1]);
    const found = claimer.next(busy());
    claimer.note([2]);
    expect((await found)?.claimed).toHaveLength(1);
  });

  it('asks a shard again that was noted while a claim of it found nothing: its row came after the claim had looked', async () => {
    const { claimer, asked, state } = createBench({ 1: 0 });
    claimer.note([1]);
    const found = claimer.next(busy());
    state.due[1] = 1;
    claimer.note([1]);
    // Another lane leaves the shard to the claim under way.
    expect(await claimer.next(busy())).toBeNull();
    expect((await found)?.claimed).toHaveLength(1);
    expect(asked.map(({ shard }) => shard)).toEqual([1, 1]);
  });

  it('leaves out rows that went between the claim and the read', async () => {
    const { claimer, state } = createBench({ 1: 2 });
    state.gone.add('u1');
    claimer.note([1]);
    const batch = await claimer.next(busy());
    expect(batch?.claimed.map(({ claim }) => claim.uid)).toEqual(['u2']);
  });

  it('gives claims back when their rows cannot be read, and looks at the shard again', async () => {
    const { claimer, state, released } = createBench({ 1: 2 });
    state.failRead = true;
    claimer.note([1]);
    await expect(claimer.next(busy())).rejects.toThrow('no database');
    expect(released).toEqual(['u1', 'u2'].map((uid) => ({ shard: 1, uid, epoch: 1, holder: 'w1' })));
    expect(claimer.hasMore()).toBe(true);
  });

  it('looks at the shard again when the claim itself fails', async () => {
    const { claimer, state } = createBench({ 1: 2 });
    state.failClaim = true;
    claimer.note([1]);
    await expect(claimer.next(busy())).rejects.toThrow('no database');
    state.failClaim = false;
    expect((await claimer.next(busy()))?.claimed).toHaveLength(2);
  });
});
