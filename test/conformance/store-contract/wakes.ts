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
      expect(await stores().engine.fire(shard, [name], 60_000)).toBe(4);
      await stores().elapse(60_001);
      expect(await claimAll(stores())).toHaveLength(4);
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
      expect(await stores().engine.registerEngine('build-1')).toBe(true);
      expect(await stores().engine.registerEngine('build-1')).toBe(false);
      expect(await stores().engine.registerEngine('build-2')).toBe(true);
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
