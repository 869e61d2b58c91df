import { describe, expect, test } from 'vitest';
import type { Claim, Removal, RowWrite, Settle } from '#controller/store/rows.ts';
import { topic } from '#resources/topic.ts';
import {
  claim,
  declare,
  eachWithStores,
  fenceOf,
  holder,
  insertOf,
  isDue,
  keyOf,
  pass,
  read,
  remove,
  settleOf,
  shard,
  statusOf,
  undelete,
  versionNow,
  workspace,
  type MakeStores,
} from './fixture.ts';

/** Deletion, removal, re-creation, platform-wide names, and children (architecture §5). */
export function deletionContract(makeStores: MakeStores): void {
  const { stores } = eachWithStores(makeStores);
  const named = (uid: string, name = 'a') => ({ uid, name });
  const removal = (one: Claim, change: Partial<Removal> = {}, settle: Partial<Settle> = {}): Removal => ({
    settle: settleOf(one, { generation: 2, ...settle }),
    retained: [],
    claim: null,
    unrelatedKinds: [],
    needs: () => false,
    ...change,
  });

  describe('finalizing', () => {
    test('begins once the row is deleted, unless data is still in its window', async () => {
      const uid = await declare(stores(), 'a');
      const begin = async (one: Claim, destroysData: boolean, generation = 2) =>
        stores().engine.beginFinalizing(fenceOf(one), { generation, destroysData });
      const early = await claim(stores(), uid);
      expect(await begin(early, false, 1)).toBe('moved');
      await stores().engine.release([fenceOf(early)]);
      await remove(stores(), named(uid), 60_000);
      await stores().elapse(20_000);
      const claimed = await claim(stores(), uid);
      expect(await begin(claimed, true)).toBe('window');
      expect((await read(stores(), uid)).row.finalizingAt).toBeNull();
      expect(await begin(claimed, false)).toBe('begun');
      expect((await read(stores(), uid)).row.finalizingAt).not.toBeNull();
      expect(await begin(claimed, false)).toBe('begun');
      expect(await begin({ ...claimed, epoch: 9 }, false)).toBe('fenced');
      await stores().engine.clearFinalizing({ ...fenceOf(claimed), epoch: 9 });
      expect((await read(stores(), uid)).row.finalizingAt).not.toBeNull();
      await stores().engine.clearFinalizing(fenceOf(claimed));
      expect((await read(stores(), uid)).row.finalizingAt).toBeNull();
    });

    test('destroys data once the window is over', async () => {
      const uid = await declare(stores(), 'a');
      await remove(stores(), named(uid), 5_000);
      await stores().elapse(5_001);
      const fence = fenceOf(await claim(stores(), uid));
      expect(await stores().engine.beginFinalizing(fence, { generation: 2, destroysData: true })).toBe('begun');
    });

    test('does not begin for a row that was undeleted meanwhile', async () => {
      const uid = await declare(stores(), 'a');
      await remove(stores(), named(uid));
      const fence = fenceOf(await claim(stores(), uid));
      await undelete(stores(), named(uid));
      expect(await stores().engine.beginFinalizing(fence, { generation: 2, destroysData: false })).toBe('moved');
    });
  });

  describe('removal', () => {
    test('leaves a tombstone, releases the claim and wakes who listens', async () => {
      const listener = await declare(stores(), 'listener');
      const freed = topic.claim('Bucket', 'name.example');
      const ref = topic.ref('Bucket', workspace, 'a');
      await pass(stores(), listener, { listeners: [freed] });
      const uid = await declare(stores(), 'a', { labels: { team: 'web' } });
      const name = { kind: 'Bucket', externalName: 'name.example' };
      await stores().engine.takeClaim({ ...name, workspace, uid });
      await remove(stores(), named(uid));
      const before = await versionNow(stores());
      const claimed = await claim(stores(), uid);
      const result = await stores().engine.settleRemoval(removal(claimed, { claim: 'name.example' }, { fires: [ref] }));
      expect(result).toEqual({ result: 'removed' });
      expect((await stores().engine.readRows(shard, [uid])).rows).toEqual([]);
      expect((await stores().engine.readKey(keyOf('a'))).row).toBeNull();
      const page = await stores().resources.changes('platform', { workspace, afterVersion: before, limit: 10 });
      const tombstone = { type: 'tombstone', uid, key: keyOf('a'), labels: { team: 'web' }, version: before + 1 };
      expect(page.changes).toEqual([tombstone]);
      expect(await isDue(stores(), listener)).toBe(true);
      expect(await stores().engine.takeClaim({ ...name, workspace: 'other', uid: 'u2' })).toBe('ours');
    });

    test('frees the name for a new row with a new uid', async () => {
      const uid = await declare(stores(), 'a');
      await remove(stores(), named(uid));
      await stores().engine.settleRemoval(removal(await claim(stores(), uid)));
      const again = await declare(stores(), 'a');
      expect((await stores().engine.readKey(keyOf('a'))).row).toMatchObject({ uid: again, generation: 1 });
    });

    test('repeated, or under an old epoch, is fenced', async () => {
      const uid = await declare(stores(), 'a');
      await remove(stores(), named(uid));
      const one = removal(await claim(stores(), uid));
      const old = { ...one, settle: { ...one.settle, epoch: 9 } };
      expect(await stores().engine.settleRemoval(old)).toEqual({ result: 'fenced' });
      expect(await stores().engine.settleRemoval(one)).toEqual({ result: 'removed' });
      expect(await stores().engine.settleRemoval(one)).toEqual({ result: 'fenced' });
    });

    test('does not happen to a row that was undeleted', async () => {
      const uid = await declare(stores(), 'a');
      await remove(stores(), named(uid));
      const claimed = await claim(stores(), uid);
      await undelete(stores(), named(uid));
      expect(await stores().engine.settleRemoval(removal(claimed))).toEqual({ result: 'moved' });
      expect((await read(stores(), uid)).row).toMatchObject({ generation: 3, deletedAt: null });
    });

    test('is blocked by children, by dependents and by an open intent', async () => {
      const uid = await declare(stores(), 'a');
      const child = await declare(stores(), 'child', { owner: { uid, slot: 's' } });
      const user = await declare(stores(), 'user', { key: keyOf('user', 'App') });
      await remove(stores(), named(uid));
      const claimed = await claim(stores(), uid);
      await stores().engine.announce(fenceOf(claimed), { effect: 'e', nonce: child, args: null });
      await stores().engine.markSending(fenceOf(claimed), child, 1_000);
      const result = await stores().engine.settleRemoval(removal(claimed, { needs: (row) => row.uid === user }));
      expect(result).toEqual({ result: 'blocked', children: 1, dependents: [keyOf('user', 'App')], openIntent: true });
      expect((await read(stores(), uid)).work.holder).toBe(holder);
    });
  });

  describe('re-creation', () => {
    test('counts incarnations and forgets that the object was there', async () => {
      const uid = await declare(stores(), 'a');
      await pass(stores(), uid, { materialized: true, dueInMs: 0 });
      const claimed = await claim(stores(), uid);
      const before = (await read(stores(), uid)).work.incarnation;
      expect(await stores().engine.beginRecreate({ ...fenceOf(claimed), epoch: 9 })).toBeNull();
      expect(await stores().engine.beginRecreate(fenceOf(claimed))).toBe(before + 1);
      const { work } = await read(stores(), uid);
      expect(work).toMatchObject({ incarnation: before + 1, materializedAt: null });
    });
  });

  describe('platform-wide name', () => {
    test('belongs to the first who takes it, who may take it again', async () => {
      const name = { kind: 'Domain', externalName: 'shop.example' };
      const take = (of: string, uid: string) => stores().engine.takeClaim({ ...name, workspace: of, uid });
      expect(await take('acme', 'u1')).toBe('ours');
      expect(await take('other', 'u2')).toBe('taken');
      expect(await take('acme', 'u1')).toBe('ours');
      expect(await stores().engine.takeClaim({ ...name, kind: 'Bucket', workspace: 'other', uid: 'u2' })).toBe('ours');
    });
  });
  declareContract(makeStores);
}

function declareContract(makeStores: MakeStores): void {
  const { stores } = eachWithStores(makeStores);
  const settleDeclare = (settle: Settle, decide: () => readonly RowWrite[] | { readonly refused: string }) =>
    stores().engine.settleDeclare({ settle, reads: [keyOf('child')], follow: () => [], decide });

  describe('declare', () => {
    test('writes children and settles the owner in one', async () => {
      const owner = await declare(stores(), 'owner');
      const settle = settleOf(await claim(stores(), owner), { status: statusOf() });
      const child = insertOf('child', { owner: { uid: owner, slot: 'one' } });
      expect(await settleDeclare(settle, () => [child])).toEqual({ result: 'settled' });
      expect((await read(stores(), child.uid)).row).toMatchObject({ ownerUid: owner, slot: 'one', generation: 1 });
      expect((await read(stores(), owner)).row.observedGeneration).toBe(1);
      expect(await isDue(stores(), child.uid)).toBe(true);
    });

    test('decides on the children and rows as they are under the lock', async () => {
      const owner = await declare(stores(), 'owner');
      const child = await declare(stores(), 'child', { owner: { uid: owner, slot: 'one' }, spec: { size: 1 } });
      const settle = settleOf(await claim(stores(), owner));
      const seen: unknown[] = [];
      await stores().engine.settleDeclare({
        settle,
        reads: [keyOf('child'), keyOf('missing')],
        follow: () => [],
        decide: (snapshot) => {
          // Asked again after a conflict.
          seen.length = 0;
          seen.push(
            snapshot.children.map((row) => row.uid),
            [...snapshot.rows.keys()],
          );
          return [];
        },
      });
      expect(seen).toEqual([[child], ['Bucket/acme/child']]);
    });

    test('refused writes nothing, and the claim is still held', async () => {
      const owner = await declare(stores(), 'owner');
      const claimed = await claim(stores(), owner);
      const settle = settleOf(claimed, { status: statusOf() });
      const before = await read(stores(), owner);
      expect(await settleDeclare(settle, () => ({ refused: 'QUOTA' }))).toEqual({
        result: 'refused',
        refusal: 'QUOTA',
      });
      expect(await read(stores(), owner)).toEqual(before);
      expect((await stores().engine.settle(shard, [settle])).get(owner)).toBe('settled');
    });

    test('of an old epoch writes nothing', async () => {
      const owner = await declare(stores(), 'owner');
      const settle = settleOf(await claim(stores(), owner), { epoch: 9, status: statusOf() });
      const child = insertOf('child', { owner: { uid: owner, slot: 'one' } });
      expect(await settleDeclare(settle, () => [child])).toEqual({ result: 'fenced' });
      expect((await stores().engine.readRows(shard, [child.uid])).rows).toEqual([]);
      expect((await read(stores(), owner)).row.observedGeneration).toBe(0);
    });
  });
}
