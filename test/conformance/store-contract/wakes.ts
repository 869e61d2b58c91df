import { describe, expect, test } from 'vitest';
import { topic } from '#resources/topic.ts';
import {
  claim,
  claimAll,
  declare,
  eachWithStores,
  insertOf,
  isDue,
  pass,
  read,
  settleOf,
  shard,
  statusOf,
  versionNow,
  write,
  type MakeStores,
} from './fixture.ts';

const name = topic.ref('Bucket', 'acme', 'dependency');
const sweepAges = {
  tombstoneMs: 3_600_000,
  passMs: 3_600_000,
  topicMs: 3_600_000,
  doneIntentsKept: 10,
  batchMax: 1_000,
};

/** Topics and listeners: no wake is lost, whenever it comes (architecture §4, Wakes). */
export function wakeContract(makeStores: MakeStores): void {
  const { stores } = eachWithStores(makeStores);

  describe('topics', () => {
    test('fired by a settle wake the rows that listen, ahead of routine work', async () => {
      const listener = await declare(stores(), 'listener');
      const dependency = await declare(stores(), 'dependency');
      await pass(stores(), listener, { listeners: [name] });
      await stores().elapse(20_000);
      expect((await read(stores(), listener)).listeners).toEqual([name]);
      const { wakeSeq } = (await read(stores(), listener)).work;
      await pass(stores(), dependency, { status: statusOf(), fires: [name] });
      const { work } = await read(stores(), listener);
      expect(work.wakeSeq).toBeGreaterThan(wakeSeq);
      expect(await isDue(stores(), listener)).toBe(true);
    });

    test('fired by a write wake the rows that listen', async () => {
      const listener = await declare(stores(), 'listener');
      await pass(stores(), listener, { listeners: [name] });
      await declare(stores(), 'dependency', { fires: [name] });
      expect(await isDue(stores(), listener)).toBe(true);
    });

    test('no longer listened to wake nobody', async () => {
      const listener = await declare(stores(), 'listener');
      await pass(stores(), listener, { listeners: [name], dueInMs: 0 });
      await pass(stores(), listener, { listeners: [] });
      await declare(stores(), 'dependency', { fires: [name] });
      expect(await isDue(stores(), listener)).toBe(false);
    });

    test('fired between the read and the settle that begins to listen make the row due at once', async () => {
      const listener = await declare(stores(), 'listener');
      const claimed = await claim(stores(), listener);
      const readVersion = await versionNow(stores());
      await declare(stores(), 'dependency', { fires: [name] });
      await stores().engine.settle(shard, [settleOf(claimed, { listeners: [name], readVersion })]);
      expect(await isDue(stores(), listener)).toBe(true);
    });

    test('fired between the read and a settle whose listeners are stored make the row due at once', async () => {
      const listener = await declare(stores(), 'listener');
      await pass(stores(), listener, { listeners: [name], dueInMs: 0 });
      for (const status of [undefined, statusOf()]) {
        const claimed = await claim(stores(), listener);
        const readVersion = await versionNow(stores());
        await stores().engine.fire(shard, [name], 0);
        const change = status === undefined ? {} : { status };
        await stores().engine.settle(shard, [settleOf(claimed, { readVersion, ...change })]);
        expect(await isDue(stores(), listener)).toBe(true);
      }
    });

    test('fired before the read do not make the row due again', async () => {
      await declare(stores(), 'dependency', { fires: [name] });
      const listener = await declare(stores(), 'listener');
      const claimed = await claim(stores(), listener);
      const readVersion = await versionNow(stores());
      await stores().engine.settle(shard, [settleOf(claimed, { listeners: [name], readVersion })]);
      expect(await isDue(stores(), listener)).toBe(false);
    });

    test('fired by one row of a batch wake another of the same batch', async () => {
      const listener = await declare(stores(), 'listener');
      const dependency = await declare(stores(), 'dependency');
      const claims = await claimAll(stores());
      const readVersion = await versionNow(stores());
      const settles = claims.map((one) =>
        settleOf(
          one,
          one.uid === dependency ? { status: statusOf(), fires: [name] } : { listeners: [name], readVersion },
        ),
      );
      await stores().engine.settle(shard, settles);
      expect(await isDue(stores(), listener)).toBe(true);
    });

    test('never make a due time later', async () => {
      const listener = await declare(stores(), 'listener');
      await pass(stores(), listener, { listeners: [name], dueInMs: 0, priority: 'user' });
      const before = (await read(stores(), listener)).work.dueAt;
      await stores().engine.fire(shard, [name], 60_000);
      expect((await read(stores(), listener)).work.dueAt).toBe(before);
    });

    test('fired by the engine count whom they wake and spread them in time', async () => {
      for (const one of ['a', 'b', 'c', 'd']) await pass(stores(), await declare(stores(), one), { listeners: [name] });
      expect(await stores().engine.fire(shard, [name], 20_000)).toBe(4);
      expect(await claimAll(stores())).toHaveLength(1);
      await stores().elapse(60_001);
      expect(await claimAll(stores())).toHaveLength(4);
    });

    test('fired by the engine are spread over those too that are left to be drained', async () => {
      const inserts = Array.from({ length: 600 }, (_, n) => insertOf(`row-${n}`));
      await write(stores(), inserts);
      const claims = await claimAll(stores());
      const settles = claims.map((one) => settleOf(one, { listeners: [name] }));
      for (let n = 0; n < settles.length; n += 100) await stores().engine.settle(shard, settles.slice(n, n + 100));
      expect(await stores().engine.fire(shard, [name], 500)).toBe(500);
      for (const more of [true, false]) expect(await stores().engine.drain(shard, 60)).toBe(more);
      const { now, rows } = await stores().engine.readRows(
        shard,
        inserts.map((one) => one.uid),
      );
      const dueInMs = rows.map(({ work }) => work.dueAt - now).toSorted((a, b) => a - b);
      const step = dueInMs.map((at, n) => at - n * 500);
      expect(Math.max(...step) - Math.min(...step)).toBeLessThan(5_000);
      // A firing that is not spread wakes the rest at once.
      await declare(stores(), 'dependency', { fires: [name] });
      for (const more of [true, false]) expect(await stores().engine.drain(shard, 60)).toBe(more);
      await stores().elapse(1_000);
      expect(await claimAll(stores())).toHaveLength(601);
    });

    test('asked for are carried on shard by shard by whoever comes, once each', async () => {
      const { engine } = stores();
      await engine.askFiring('engine', 50);
      const { firing } = await engine.takeFiring(15_000);
      expect(firing).toEqual({ topic: 'engine', ratePerSecond: 50, round: 1, shard: 0 });
      expect(await engine.takeFiring(15_000)).toMatchObject({ firing: null });
      await stores().elapse(15_001);
      const again = (await engine.takeFiring(15_000)).firing;
      expect(again).toEqual(firing);
      if (again === null) throw new Error('nobody carries on what a dead one began');
      await engine.moveFiring(again, 5_000);
      await engine.moveFiring(again, 5_000);
      const later = await engine.takeFiring(15_000);
      expect(later.firing).toBeNull();
      expect(later.inMs).toBeGreaterThan(4_000);
      await stores().elapse(5_001);
      expect((await engine.takeFiring(15_000)).firing).toMatchObject({ shard: 1 });
    });

    /** Carries a firing on through so many shards, to its end without a number; answers which. */
    const carryOn = async (count = Infinity): Promise<number[]> => {
      const shards: number[] = [];
      while (shards.length < count) {
        const { firing } = await stores().engine.takeFiring(15_000);
        if (firing === null) break;
        shards.push(firing.shard);
        await stores().engine.moveFiring(firing, 0);
      }
      return shards;
    };
    const round = Array.from({ length: 64 }, (_, n) => n);

    test('asked for again on their way go on, and once round from there', async () => {
      const { engine } = stores();
      await engine.askFiring('engine', 50);
      expect(await carryOn(5)).toEqual(round.slice(0, 5));
      const taken = (await engine.takeFiring(15_000)).firing;
      await engine.askFiring('engine', 20);
      expect(await engine.takeFiring(15_000)).toMatchObject({ firing: null });
      if (taken === null) throw new Error('nothing was on its way');
      await engine.moveFiring(taken, 0);
      const { firing } = await engine.takeFiring(15_000);
      expect(firing).toEqual({ topic: 'engine', ratePerSecond: 20, round: 2, shard: 5 });
      if (firing !== null) await engine.moveFiring(firing, 0);
      expect(await carryOn()).toEqual([...round.slice(6), ...round.slice(0, 5)]);
      expect(await engine.takeFiring(15_000)).toEqual({ firing: null, inMs: null });
    });

    test('asked for again and again come to every shard, and end when nobody asks any more', async () => {
      const shards: number[] = [];
      for (let n = 0; n < 20; n += 1) {
        await stores().engine.askFiring('engine', 50);
        shards.push(...(await carryOn(5)));
      }
      expect(shards.slice(0, 64)).toEqual(round);
      expect(await carryOn()).toHaveLength(64 - 5);
    });

    test('asked for again wait as long as they would have: the rate is kept', async () => {
      const { engine } = stores();
      await engine.askFiring('engine', 50);
      const { firing } = await engine.takeFiring(15_000);
      if (firing !== null) await engine.moveFiring(firing, 10_000);
      await engine.askFiring('engine', 50);
      expect((await engine.takeFiring(15_000)).inMs).toBeGreaterThan(9_000);
    });

    test('with more listeners than a writer wakes leave the rest to be drained', async () => {
      const inserts = Array.from({ length: 620 }, (_, n) => insertOf(`row-${n}`));
      await write(stores(), inserts);
      const claims = await claimAll(stores());
      await stores().engine.settle(
        shard,
        claims.map((one) => settleOf(one, { listeners: [name] })),
      );
      await declare(stores(), 'dependency', { fires: [name] });
      expect(await stores().engine.drainingShards()).toEqual([shard]);
      const woken = async () => (await stores().engine.readRows(shard, uids)).rows.filter(isWoken).length;
      const uids = inserts.map((one) => one.uid);
      const isWoken = (one: { work: { wakeSeq: number } }) => one.work.wakeSeq > 0;
      expect(await woken()).toBe(500);
      expect(await stores().engine.drain(shard, 100)).toBe(true);
      expect(await woken()).toBe(600);
      expect(await stores().engine.drain(shard, 100)).toBe(false);
      expect(await woken()).toBe(620);
      expect(await stores().engine.drainingShards()).toEqual([]);
    });
  });

  describe('upkeep', () => {
    test('a build is new once', async () => {
      expect(await stores().engine.registerEngine('build-1', 50)).toBe(true);
      expect(await stores().engine.registerEngine('build-1', 50)).toBe(false);
      expect(await stores().engine.registerEngine('build-2', 50)).toBe(true);
      expect((await stores().engine.takeFiring(15_000)).firing).toMatchObject({
        topic: 'engine',
        round: 2,
        ratePerSecond: 50,
      });
    });

    test('sweeping by age keeps the newest pass of each row', async () => {
      const uid = await declare(stores(), 'a');
      const facts = { observed: null, observedDigest: '', plan: null, planDigest: '', calls: [], traceId: null };
      const record = { generation: 1, trigger: 'spec', outcome: 'acted', durationMs: 1, ...facts };
      await pass(stores(), uid, { pass: record, dueInMs: 0 });
      await pass(stores(), uid, { pass: record, dueInMs: 0 });
      await stores().engine.sweep(shard, sweepAges);
      expect(await stores().engine.passes({ shard, uid, limit: 10 })).toHaveLength(2);
      await stores().elapse(3_700_000);
      await stores().engine.sweep(shard, sweepAges);
      expect((await stores().engine.passes({ shard, uid, limit: 10 })).map((one) => one.epoch)).toEqual([2]);
    });
  });
}
