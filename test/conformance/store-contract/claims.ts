import { describe, expect, test } from 'vitest';
import {
  claim,
  claimAll,
  declare,
  edit,
  eachWithStores,
  fenceOf,
  holder,
  isDue,
  keyOf,
  leaseMs,
  pass,
  read,
  settleOf,
  shard,
  workspace,
  type MakeStores,
} from './fixture.ts';
import { shardOf } from '#resources/shard.ts';

/** Claims, leases and fences (E1, E3, E4). */
export function claimContract(makeStores: MakeStores): void {
  const { stores } = eachWithStores(makeStores);

  describe('claim', () => {
    test('takes a row that was just declared, with epoch 1', async () => {
      const uid = await declare(stores(), 'a');
      expect(await stores().engine.dueShards()).toContain(shard);
      const claimed = await claim(stores(), uid);
      expect(claimed).toMatchObject({ shard, uid, workspace, kind: 'Bucket', epoch: 1 });
      const { work } = await read(stores(), uid);
      expect(work).toMatchObject({ holder, epoch: 1, takenOverAt: null });
      expect((work.leaseUntil ?? 0) - claimed.claimedAt).toBe(leaseMs);
    });

    test('leaves a held row alone until its lease is over, then marks the takeover', async () => {
      const uid = await declare(stores(), 'a');
      await claim(stores(), uid);
      await stores().elapse(leaseMs - 2_000);
      expect(await claimAll(stores(), 'worker-b')).toEqual([]);
      expect(await stores().engine.dueShards()).not.toContain(shard);
      await stores().elapse(2_000);
      const leaseEnd = (await read(stores(), uid)).work.leaseUntil;
      expect(await stores().engine.dueShards()).toContain(shard);
      expect(await claim(stores(), uid, 'worker-b')).toMatchObject({ epoch: 2 });
      expect((await read(stores(), uid)).work).toMatchObject({ holder: 'worker-b', takenOverAt: leaseEnd });
    });

    test('keeps the mark of a takeover through settles until one clears it', async () => {
      const uid = await declare(stores(), 'a');
      await claim(stores(), uid);
      await stores().elapse(leaseMs);
      await pass(stores(), uid, { dueInMs: 0 });
      expect((await read(stores(), uid)).work.takenOverAt).not.toBeNull();
      await pass(stores(), uid, { clearTakenOver: true });
      expect((await read(stores(), uid)).work.takenOverAt).toBeNull();
    });

    test('from a time on leaves what was due before, and takes what was due then', async () => {
      const [early, late] = [await declare(stores(), 'early'), await declare(stores(), 'late')];
      await pass(stores(), early, { dueInMs: 1_000 });
      await pass(stores(), late, { dueInMs: 5_000 });
      await stores().elapse(10_000);
      const from = (await read(stores(), late)).work.dueAt;
      const all = { shard, holder, limit: 9, perWorkspaceMax: 9, leaseMs };
      expect((await stores().engine.claim({ ...all, from: from + 1_000 })).map((one) => one.uid)).toEqual([]);
      expect((await stores().engine.claim({ ...all, from })).map((one) => one.uid)).toEqual([late]);
      expect((await stores().engine.claim(all)).map((one) => one.uid)).toEqual([early]);
    });

    test('takes the most urgent first: user before dependency before replay before resync', async () => {
      const wishes = ['resync', 'replay', 'dependency', 'user'] as const;
      const uids: string[] = [];
      for (const priority of wishes) uids.push(await declare(stores(), priority));
      const claims = await claimAll(stores());
      const settles = claims.map((one) =>
        settleOf(one, { dueInMs: 0, priority: wishes[uids.indexOf(one.uid)] ?? 'user' }),
      );
      await stores().engine.settle(shard, settles);
      await stores().elapse(301_000);
      const order: string[] = [];
      for (let taken = 0; taken < 4; taken += 1) {
        const claims = await stores().engine.claim({ shard, holder, limit: 1, perWorkspaceMax: 1, leaseMs });
        expect(claims).toHaveLength(1);
        order.push(wishes[uids.indexOf(claims[0]?.uid ?? '')] ?? '');
      }
      expect(order).toEqual(['user', 'dependency', 'replay', 'resync']);
    });

    test('is fair: a workspace with many rows does not shut out one with a single row', async () => {
      const slugs = Array.from({ length: 1_000 }, (_, n) => `neighbour${String(n)}`);
      const other = slugs.find((slug) => shardOf(slug) === shard) ?? '';
      for (let n = 0; n < 8; n += 1) await declare(stores(), `many-${n}`);
      await stores().elapse(1_000);
      const lone = await declare(stores(), 'one', { key: keyOf('one', 'Bucket', other) });
      const claims = await stores().engine.claim({ shard, holder, limit: 4, perWorkspaceMax: 2, leaseMs });
      expect(claims.map((one) => one.uid)).toContain(lone);
      expect(claims.length).toBeLessThanOrEqual(4);
    });

    test('leaves rows of kinds that the build does not know to builds that do', async () => {
      const known = await declare(stores(), 'known');
      await declare(stores(), 'newer', { key: keyOf('newer', 'Queue') });
      const input = { shard, holder: 'old', limit: 10, perWorkspaceMax: 10, leaseMs };
      const claims = await stores().engine.claim({ ...input, kinds: ['Bucket'] });
      expect(claims.map((claim) => claim.uid)).toEqual([known]);
      expect(await stores().engine.claim({ ...input, holder: 'new' })).toMatchObject([{ kind: 'Queue' }]);
    });

    test('takes no more than its limit', async () => {
      for (let n = 0; n < 5; n += 1) await declare(stores(), `row-${n}`);
      const take = () => stores().engine.claim({ shard, holder, limit: 3, perWorkspaceMax: 3, leaseMs });
      expect(await take()).toHaveLength(3);
      expect(await take()).toHaveLength(2);
      expect(await take()).toHaveLength(0);
    });

    test('given back unsettled, the row is due at once and nobody was taken over', async () => {
      const uid = await declare(stores(), 'a');
      const claimed = await claim(stores(), uid);
      await stores().engine.release([{ ...fenceOf(claimed), epoch: 7 }]);
      expect(await isDue(stores(), uid)).toBe(false);
      await stores().engine.release([fenceOf(claimed)]);
      await claim(stores(), uid, 'worker-b');
      expect((await read(stores(), uid)).work.takenOverAt).toBeNull();
    });
  });

  describe('lease', () => {
    test('renew moves the end of held rows and answers which they are', async () => {
      const mine = await declare(stores(), 'mine');
      const other = await declare(stores(), 'other');
      await claimAll(stores());
      await stores().elapse(10_000);
      const held = await stores().engine.renew({ shard, holder, uids: [mine, other, 'nobody'], leaseMs });
      expect([...held].sort()).toEqual([mine, other].sort());
      expect(await stores().engine.renew({ shard, holder: 'worker-b', uids: [mine], leaseMs })).toEqual([]);
      await stores().elapse(10_000);
      expect(await isDue(stores(), mine)).toBe(false);
    });

    test('renew never shortens what a call has extended', async () => {
      const uid = await declare(stores(), 'a');
      const claimed = await claim(stores(), uid);
      await stores().engine.extend(fenceOf(claimed), 60_000);
      await stores().engine.renew({ shard, holder, uids: [uid], leaseMs });
      await stores().elapse(40_000);
      expect(await isDue(stores(), uid)).toBe(false);
    });

    test('extend covers the call and two seconds more', async () => {
      const uid = await declare(stores(), 'a');
      const claimed = await claim(stores(), uid);
      expect(await stores().engine.extend(fenceOf(claimed), 30_000)).toEqual({ wakeSeq: claimed.wakeSeq });
      await stores().elapse(31_000);
      expect(await isDue(stores(), uid)).toBe(false);
      await stores().elapse(2_000);
      expect(await isDue(stores(), uid)).toBe(true);
    });

    test('extend is refused to another epoch, another holder, and after the lease is over', async () => {
      const uid = await declare(stores(), 'a');
      const fence = fenceOf(await claim(stores(), uid));
      expect(await stores().engine.extend({ ...fence, epoch: fence.epoch + 1 }, 1_000)).toBeNull();
      expect(await stores().engine.extend({ ...fence, holder: 'worker-b' }, 1_000)).toBeNull();
      await stores().elapse(leaseMs + 1);
      expect(await stores().engine.extend(fence, 1_000)).toBeNull();
    });

    test('extend tells of an edit since the claim', async () => {
      const uid = await declare(stores(), 'a');
      const claimed = await claim(stores(), uid);
      await edit(stores(), { uid, name: 'a' }, { changed: true });
      const extended = await stores().engine.extend(fenceOf(claimed), 1_000);
      expect(extended?.wakeSeq).toBeGreaterThan(claimed.wakeSeq);
    });
  });

  describe('reads', () => {
    test('readRows answers row, queue, revision and version of one snapshot, and leaves out what is gone', async () => {
      const uid = await declare(stores(), 'a', { spec: { size: 1 } });
      const { rows, version, now } = await stores().engine.readRows(shard, [uid, 'gone']);
      expect(rows).toHaveLength(1);
      expect(rows[0]?.row).toMatchObject({ uid, name: 'a', generation: 1, version, spec: { size: 1 } });
      expect(rows[0]?.revision).toMatchObject({ generation: 1, by: { lineage: 'lineage1' }, confirmed: false });
      expect(rows[0]).toMatchObject({ intents: [], decisions: [], listeners: [], owner: null });
      expect(now).toBeGreaterThan(0);
    });

    test('readKey finds a row by its key, and nothing under another name', async () => {
      const uid = await declare(stores(), 'a');
      expect((await stores().engine.readKey(keyOf('a'))).row?.uid).toBe(uid);
      expect((await stores().engine.readKey(keyOf('b'))).row).toBeNull();
      expect((await stores().engine.readKey(keyOf('a', 'Queue'))).row).toBeNull();
    });

    test('listRows answers the rows of an owner, or of kinds', async () => {
      const owner = await declare(stores(), 'owner', { key: keyOf('owner', 'App') });
      const child = await declare(stores(), 'child', { owner: { uid: owner, slot: 'one' } });
      const owned = await stores().engine.listRows({ shard, workspace, ownerUid: owner, limit: 9 });
      expect(owned.rows.map((row) => [row.uid, row.slot])).toEqual([[child, 'one']]);
      const apps = await stores().engine.listRows({ shard, workspace, kinds: ['App', 'Queue'], limit: 9 });
      expect(apps.rows.map((row) => row.uid)).toEqual([owner]);
      expect((await read(stores(), child)).owner).toEqual({ kind: 'App', name: 'owner' });
    });

    test('listOthers answers the rows of all kinds but some, page after page', async () => {
      const uids = new Map<string, string>();
      for (const kind of ['App', 'Bucket', 'Queue', 'Zone']) {
        for (const name of ['a', 'b'])
          uids.set(`${kind}/${name}`, await declare(stores(), name, { key: keyOf(name, kind) }));
      }
      const all = { shard, workspace, limit: 9 };
      const others = await stores().engine.listOthers({ ...all, otherThan: ['Bucket', 'Zone', 'Never'] });
      const expected = ['App/a', 'App/b', 'Queue/a', 'Queue/b'].map((key) => uids.get(key) ?? '').sort();
      expect(others.map((row) => row.uid)).toEqual(expected);
      const after = expected[1] ?? '';
      const next = await stores().engine.listOthers({ ...all, otherThan: ['Bucket', 'Zone'], after, limit: 1 });
      expect(next.map((row) => row.uid)).toEqual([expected[2]]);
      expect(await stores().engine.listOthers({ ...all, otherThan: ['App', 'Bucket', 'Queue', 'Zone'] })).toEqual([]);
      expect(await stores().engine.listOthers({ ...all, workspace: 'other', otherThan: [] })).toEqual([]);
    });

    test('listRows answers page after page, by uid', async () => {
      const uids = [await declare(stores(), 'a'), await declare(stores(), 'b'), await declare(stores(), 'c')].sort();
      const seen: string[] = [];
      for (let after = ''; ;) {
        const { rows } = await stores().engine.listRows({ shard, workspace, after, limit: 2 });
        seen.push(...rows.map((row) => row.uid));
        if (rows.length < 2) break;
        after = rows.at(-1)?.uid ?? '';
      }
      expect(seen).toEqual(uids);
    });
  });
}
