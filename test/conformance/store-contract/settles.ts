import { describe, expect, test } from 'vitest';
import type { PassRecord } from '#controller/store/rows.ts';
import {
  claim,
  claimAll,
  declare,
  edit,
  eachWithStores,
  holder,
  isDue,
  leaseMs,
  pass,
  read,
  ready,
  settleOf,
  shard,
  statusOf,
  versionNow,
  workspace,
  type MakeStores,
} from './fixture.ts';

const record: PassRecord = {
  generation: 1,
  trigger: 'spec',
  observed: { exists: true },
  observedDigest: 'd1',
  plan: { verdict: 'converged' },
  planDigest: 'd2',
  calls: [{ provider: 'gcs', op: 'buckets.get', mutating: false, outcome: 'ok', durationMs: 3 }],
  outcome: 'converged',
  durationMs: 4,
  traceId: null,
};

/** Settles: fenced, versioned only where something changed, due again as asked (E1, E3, E6). */
export function settleContract(makeStores: MakeStores): void {
  const { stores } = eachWithStores(makeStores);

  describe('settle', () => {
    test('leaves the time of the declaration as it is: what holds a row up is counted from there', async () => {
      const uid = await declare(stores(), 'a');
      const { updatedAt } = (await read(stores(), uid)).row;
      await stores().elapse(60_000);
      await pass(stores(), uid, { status: statusOf({ status: { external: 'x' } }) });
      const { row } = await read(stores(), uid);
      const { now } = await stores().engine.readRows(shard, []);
      expect(row.status).toEqual({ external: 'x' });
      expect(now - row.updatedAt).toBeGreaterThanOrEqual(60_000);
      expect(row.updatedAt).toBeLessThanOrEqual(updatedAt);
    });

    test('writes status and conditions under the next version, and gives the row back', async () => {
      const uid = await declare(stores(), 'a');
      const before = await versionNow(stores());
      const status = statusOf({ status: { external: 'x' }, outputsDigest: 'o1' });
      const claimed = await pass(stores(), uid, { status, attempts: 3 });
      const { row, work } = await read(stores(), uid);
      expect(row).toMatchObject({ version: before + 1, status: { external: 'x' }, observedGeneration: 1 });
      expect(row).toMatchObject({ outputsDigest: 'o1', conditions: [ready('True')] });
      expect(work).toMatchObject({ holder: null, leaseUntil: null, attempts: 3, passedAt: claimed.claimedAt });
      expect(await versionNow(stores())).toBe(before + 1);
    });

    test('moves no version when it changes nothing', async () => {
      const uid = await declare(stores(), 'a');
      await pass(stores(), uid, { status: statusOf(), dueInMs: 0 });
      const before = await read(stores(), uid);
      const version = await versionNow(stores());
      await pass(stores(), uid);
      expect((await read(stores(), uid)).row).toEqual(before.row);
      expect(await versionNow(stores())).toBe(version);
    });

    test('of an old epoch or another holder changes nothing', async () => {
      const uid = await declare(stores(), 'a');
      const old = await claim(stores(), uid);
      await stores().elapse(leaseMs);
      await claim(stores(), uid, 'worker-b');
      const before = await read(stores(), uid);
      const change = { status: statusOf({ status: { zombie: true } }), verified: true };
      const results = await stores().engine.settle(shard, [settleOf(old, change)]);
      expect(results.get(uid)).toBe('fenced');
      const posing = settleOf({ ...old, epoch: 2 }, change);
      expect((await stores().engine.settle(shard, [posing])).get(uid)).toBe('fenced');
      expect(await read(stores(), uid)).toEqual(before);
    });

    test('repeated is harmless: it is fenced and changes nothing', async () => {
      const uid = await declare(stores(), 'a');
      const settle = settleOf(await claim(stores(), uid), { status: statusOf(), pass: record });
      expect((await stores().engine.settle(shard, [settle])).get(uid)).toBe('settled');
      const before = await read(stores(), uid);
      expect((await stores().engine.settle(shard, [settle])).get(uid)).toBe('fenced');
      expect(await read(stores(), uid)).toEqual(before);
      expect(await stores().engine.passes({ shard, uid, limit: 10 })).toHaveLength(1);
    });

    test('settles the rows of a batch each by its own fence', async () => {
      const a = await declare(stores(), 'a');
      const b = await declare(stores(), 'b');
      const claims = await claimAll(stores());
      const settles = claims.map((one) =>
        settleOf(one, { status: statusOf(), ...(one.uid === b ? { epoch: 9 } : {}) }),
      );
      const results = await stores().engine.settle(shard, settles);
      expect([results.get(a), results.get(b)]).toEqual(['settled', 'fenced']);
      expect((await read(stores(), b)).row.observedGeneration).toBe(0);
    });

    test('with one unstorable string rejects the whole batch and writes nothing', async () => {
      const a = await declare(stores(), 'a');
      const b = await declare(stores(), 'b');
      const claims = await claimAll(stores());
      const bad = statusOf({ conditions: [ready('False', 'ProviderRejected', 'nul \u0000 inside')] });
      const settles = claims.map((one) => settleOf(one, { status: one.uid === b ? bad : statusOf() }));
      await expect(stores().engine.settle(shard, settles)).rejects.toThrow(/invalid|unsupported|unicode|character/i);
      expect((await read(stores(), a)).work.holder).toBe(holder);
      expect((await read(stores(), a)).row.observedGeneration).toBe(0);
    });

    test('records what the pass learned', async () => {
      const uid = await declare(stores(), 'a');
      const recentActions = [{ digest: 'x', acknowledgedAt: 5, count: 2 }];
      const claimed = await pass(stores(), uid, { verified: true, materialized: true, recentActions });
      const { work } = await read(stores(), uid);
      expect(work.recentActions).toEqual(recentActions);
      expect(work.verifiedAt).toBeGreaterThanOrEqual(claimed.claimedAt);
      expect(work.materializedAt).toBeGreaterThanOrEqual(claimed.claimedAt);
      expect(await stores().providers.countMaterialized()).toBe(1);
    });

    test('writes the journal once per epoch, read newest first', async () => {
      const uid = await declare(stores(), 'a');
      await pass(stores(), uid, { pass: record, dueInMs: 0 });
      await pass(stores(), uid, { pass: { ...record, outcome: 'acted' } });
      const passes = await stores().engine.passes({ shard, uid, limit: 10 });
      expect(passes.map((one) => [one.epoch, one.outcome])).toEqual([
        [2, 'acted'],
        [1, 'converged'],
      ]);
      expect(passes[1]).toMatchObject(record);
      expect(await stores().engine.passes({ shard, uid, limit: 10, epoch: 1 })).toHaveLength(1);
      expect(await stores().resources.passes('platform', { workspace, uid, limit: 1 })).toHaveLength(1);
    });

    test('starts an operation once and asks for its cancellation', async () => {
      const uid = await declare(stores(), 'a');
      const start = { key: 'dump', op: 'start', input: { to: 'x' } } as const;
      await pass(stores(), uid, { operations: [start], dueInMs: 0 });
      await pass(stores(), uid, { operations: [start], dueInMs: 0 });
      const operation = await stores().engine.readOperation({ shard, uid, key: 'dump' });
      expect(operation).toEqual({ key: 'dump', state: 'waiting', progress: null, result: null });
      expect(await stores().engine.readOperation({ shard, uid, key: 'other' })).toBeNull();
    });
  });

  describe('due time', () => {
    test('is the delay asked for', async () => {
      const uid = await declare(stores(), 'a');
      await pass(stores(), uid, { dueInMs: 60_000 });
      await stores().elapse(50_000);
      expect(await isDue(stores(), uid)).toBe(false);
      await stores().elapse(11_000);
      expect(await isDue(stores(), uid)).toBe(true);
    });

    test('never comes before its delay, however urgent', async () => {
      for (const priority of ['user', 'dependency'] as const) {
        const uid = await declare(stores(), priority);
        await pass(stores(), uid, { dueInMs: 60_000, priority });
        expect(await isDue(stores(), uid)).toBe(false);
      }
    });

    test('of a resync is five minutes later', async () => {
      const uid = await declare(stores(), 'a');
      await pass(stores(), uid, { dueInMs: 60_000, priority: 'resync' });
      await stores().elapse(300_000);
      expect(await isDue(stores(), uid)).toBe(false);
      await stores().elapse(61_000);
      expect(await isDue(stores(), uid)).toBe(true);
    });

    test('is at once when the spec moved since the claim, and status carries the planned generation', async () => {
      const uid = await declare(stores(), 'a');
      const claimed = await claim(stores(), uid);
      await edit(stores(), { uid, name: 'a' }, { changed: true });
      await stores().engine.settle(shard, [settleOf(claimed, { status: statusOf() })]);
      expect((await read(stores(), uid)).row).toMatchObject({ generation: 2, observedGeneration: 1 });
      expect(await isDue(stores(), uid)).toBe(true);
    });

    test('is at once when the row was read before an edit and planned after it', async () => {
      const uid = await declare(stores(), 'a');
      const claimed = await claim(stores(), uid);
      await edit(stores(), { uid, name: 'a' }, { changed: true });
      const { work } = await read(stores(), uid);
      const settle = settleOf(claimed, { wakeSeq: work.wakeSeq, generation: 1 });
      await stores().engine.settle(shard, [settle]);
      expect(await isDue(stores(), uid)).toBe(true);
    });

    test('of a pass parked on an open breaker waits for it; once it closed, the row is due at once', async () => {
      const parkedOn = { provider: 'gcs', account: 'p1' };
      const failed = { ...parkedOn, outcome: 'unavailable', opensAt: 1, wakePerSecond: 50 } as const;
      const uid = await declare(stores(), 'a');
      await stores().providers.report(failed);
      await pass(stores(), uid, { parkedOn });
      expect(await isDue(stores(), uid)).toBe(false);
      const other = await declare(stores(), 'b');
      const claimed = await claim(stores(), other);
      await stores().providers.report({ ...failed, outcome: 'ok' });
      await stores().engine.settle(shard, [settleOf(claimed, { parkedOn })]);
      expect(await isDue(stores(), other)).toBe(true);
    });

    test('of a pass parked on a freeze waits for the thaw', async () => {
      const parkedOn = { provider: 'gcs', account: 'p1' };
      await stores().providers.freeze({ ...parkedOn, by: 'sre', why: 'drill', forMs: null });
      const uid = await declare(stores(), 'a');
      await pass(stores(), uid, { parkedOn });
      expect(await isDue(stores(), uid)).toBe(false);
    });
  });
}
