import { describe, expect, test } from 'vitest';
import { topic } from '#resources/topic.ts';
import {
  declare,
  eachWithStores,
  fenceOf,
  holder,
  isDue,
  leaseMs,
  pass,
  read,
  settleOf,
  type MakeStores,
} from './fixture.ts';

const gcs = { provider: 'gcs', account: 'project-1' };

/** What replicas share about providers (P1, P2). */
export function providerContract(makeStores: MakeStores): void {
  const { stores } = eachWithStores(makeStores);
  const fail = (outcome: 'unavailable' | 'credential', opensAt: number, account = gcs.account) =>
    stores().providers.report({ ...gcs, account, outcome, opensAt, wakePerSecond: 50 });
  const succeed = () => stores().providers.report({ ...gcs, outcome: 'ok', opensAt: 5, wakePerSecond: 50 });

  describe('breaker', () => {
    test('opens at the n-th failure in a row, once, and closes at a success, once', async () => {
      for (let n = 1; n < 5; n += 1) expect((await fail('unavailable', 5)).opened).toBe(false);
      expect(await fail('unavailable', 5)).toMatchObject({
        opened: true,
        row: { breaker: 'open', cause: 'unavailable' },
      });
      expect((await fail('unavailable', 5)).opened).toBe(false);
      expect(await succeed()).toMatchObject({ closed: true, row: { breaker: 'closed', failures: 0 } });
      const firing = { topic: 'provider:gcs/project-1', ratePerSecond: 50, shard: 0 };
      expect((await stores().engine.takeFiring(leaseMs)).firing).toMatchObject(firing);
      expect((await succeed()).closed).toBe(false);
      expect((await stores().engine.takeFiring(leaseMs)).firing).toBeNull();
    });

    test('counts failures in a row only', async () => {
      for (let n = 0; n < 4; n += 1) await fail('unavailable', 5);
      await succeed();
      for (let n = 0; n < 4; n += 1) expect((await fail('unavailable', 5)).opened).toBe(false);
    });

    test('counts each account by itself', async () => {
      for (let n = 0; n < 2; n += 1) await fail('credential', 3);
      expect((await fail('credential', 3, 'project-2')).opened).toBe(false);
      expect(await fail('credential', 3)).toMatchObject({ opened: true, row: { cause: 'credential' } });
      const rows = await stores().providers.providers();
      expect(new Map(rows.map((row) => [row.account, row.breaker]))).toEqual(
        new Map([
          ['project-1', 'open'],
          ['project-2', 'closed'],
        ]),
      );
    });

    test('hands one parked row at a time to a probe', async () => {
      const listeners = [topic.provider(gcs.provider, gcs.account)];
      const uid = await declare(stores(), 'a');
      await pass(stores(), uid, { listeners });
      const take = (holder: string) => stores().providers.claimProbe({ ...gcs, holder, leaseMs });
      const probe = await take('worker-a');
      expect(probe).toMatchObject({ uid, epoch: 2, kind: 'Bucket' });
      expect(await take('worker-b')).toBeNull();
      expect((await read(stores(), uid)).work.holder).toBe('worker-a');
      if (probe !== null) await stores().engine.release([fenceOf(probe, 'worker-a')]);
      expect(await isDue(stores(), uid)).toBe(true);
    });
  });

  describe('probes', () => {
    test('leave rows of kinds that this build does not know to the builds that know them', async () => {
      const listeners = [topic.provider(gcs.provider, gcs.account)];
      const uid = await declare(stores(), 'a');
      await pass(stores(), uid, { listeners });
      const take = (kinds: readonly string[]) => stores().providers.claimProbe({ ...gcs, holder, leaseMs, kinds });
      expect(await take(['Crate', 'Parcel'])).toBeNull();
      expect(await take(['Crate', 'Bucket'])).toMatchObject({ uid, kind: 'Bucket' });
    });

    test('go to each parked row in turn, so that one which gets nowhere is not every probe', async () => {
      const listeners = [topic.provider(gcs.provider, gcs.account)];
      const uids = [await declare(stores(), 'a'), await declare(stores(), 'b')];
      for (const uid of uids) await pass(stores(), uid, { listeners });
      const probed: string[] = [];
      for (let round = 0; round < 4; round += 1) {
        await stores().elapse(5_000);
        const probe = await stores().providers.claimProbe({ ...gcs, holder, leaseMs });
        if (probe === null) throw new Error('no row was free');
        probed.push(probe.uid);
        await stores().engine.settle(probe.shard, [settleOf(probe)]);
      }
      expect(probed).toEqual([...uids, ...uids]);
    });
  });

  describe('holds', () => {
    test('a 429 blocks until then, and never for less than an earlier one', async () => {
      await stores().providers.block({ ...gcs, forMs: 60_000 });
      const [long] = await stores().providers.providers();
      await stores().providers.block({ ...gcs, forMs: 1_000 });
      const [row] = await stores().providers.providers();
      expect(row?.blockedUntil).toBe(long?.blockedUntil);
    });

    test('a freeze says by whom and why, and is thawed once', async () => {
      await stores().providers.freeze({ ...gcs, by: 'sre-1', why: 'drill', forMs: null });
      const [row] = await stores().providers.providers();
      expect(row?.frozen).toEqual({ by: 'sre-1', why: 'drill', until: null });
      expect(await stores().providers.thaw(gcs)).toBe(true);
      expect(await stores().providers.thaw(gcs)).toBe(false);
    });

    test('a credential is new when its digest differs from the stored one', async () => {
      const register = (digest: string) => stores().providers.registerCredential({ ...gcs, digest, wakePerSecond: 50 });
      await register('d1');
      expect(await register('d1')).toBe(false);
      expect(await register('d2')).toBe(true);
    });
  });

  describe('budgets', () => {
    test('tokens are leased up to the burst and refill with time', async () => {
      const rate = { ...gcs, budget: 'calls', ratePerSecond: 10, burst: 20 };
      const take = (want: number) => stores().providers.takeTokens({ ...rate, want });
      expect(await take(15)).toBe(15);
      expect(await take(15)).toBeLessThanOrEqual(6);
      expect(await take(15)).toBeLessThanOrEqual(1);
      await stores().elapse(1_000);
      const refilled = await take(15);
      expect(refilled).toBeGreaterThanOrEqual(10);
      expect(refilled).toBeLessThanOrEqual(12);
      await stores().elapse(60_000);
      expect(await take(50)).toBe(20);
    });

    test('tokens of another budget or account are apart', async () => {
      const rate = { ratePerSecond: 1, burst: 5, want: 5 };
      expect(await stores().providers.takeTokens({ ...gcs, budget: 'calls', ...rate })).toBe(5);
      expect(await stores().providers.takeTokens({ ...gcs, budget: 'writes', ...rate })).toBe(5);
      const other = { ...gcs, account: 'project-2' };
      expect(await stores().providers.takeTokens({ ...other, budget: 'calls', ...rate })).toBe(5);
    });

    test('slots are held until given back or their lease is over', async () => {
      const take = (holder: string) => stores().providers.takeSlot({ ...gcs, count: 2, holder, leaseMs: 120_000 });
      const slot = await take('a');
      expect(new Set([slot, await take('b')])).toEqual(new Set([0, 1]));
      expect(await take('c')).toBeNull();
      await stores().providers.giveSlot({ ...gcs, slot: slot ?? 0, holder: 'b' });
      expect(await take('c')).toBeNull();
      await stores().providers.giveSlot({ ...gcs, slot: slot ?? 0, holder: 'a' });
      expect(await take('c')).toBe(slot);
      await stores().elapse(120_001);
      expect(await take('d')).not.toBeNull();
    });

    test('a window counts up to its limit and slides', async () => {
      const take = (key: string) =>
        stores().providers.takeWindow({ scope: 'recreate', key, limit: 2, windowMs: 600_000 });
      const taken = { taken: true };
      expect(await take('a')).toEqual(taken);
      await stores().elapse(300_000);
      expect(await take('a')).toEqual(taken);
      expect(await take('a')).toEqual({ taken: false, freeAt: expect.any(Number) });
      expect(await take('b')).toEqual(taken);
      await stores().elapse(301_000);
      expect(await take('a')).toEqual(taken);
      // When the oldest leaves: of different instants, since each store has a clock of its own.
      expect(await take('a')).toEqual({ taken: false, freeAt: expect.any(Number) });
    });
  });
}
