import { describe, expect, test } from 'vitest';
import type { Fence } from '#controller/store/rows.ts';
import {
  claim,
  declare,
  eachWithStores,
  fenceOf,
  isDue,
  keyOf,
  leaseMs,
  pass,
  principal,
  read,
  settleOf,
  shard,
  workspace,
  type MakeStores,
} from './fixture.ts';

const nonces = Array.from({ length: 9 }, (_, n) => `10000000-0000-4000-8000-00000000000${n}`);
const [first, second, third] = nonces as [string, string, string, ...string[]];
const callMs = 30_000;

type Reply = readonly ['done' | 'refused' | 'unknown', (string | null)?];

/** Write-ahead records of what must not happen twice (architecture §5, Intents; E1, E5). */
export function intentContract(makeStores: MakeStores): void {
  const { stores } = eachWithStores(makeStores);
  const announce = (fence: Fence, nonce: string, args = { price: 1 }) =>
    stores().engine.announce(fence, { effect: 'create:0', nonce, args });
  const answer = (uid: string, nonce: string, [state, result = null]: Reply) =>
    stores().engine.answer({ shard, uid, nonce, state, result });
  /** A row with an intent in state sending, and its fence. */
  const sending = async (): Promise<Fence> => {
    const fence = fenceOf(await claim(stores(), await declare(stores(), 'a')));
    await announce(fence, first);
    await stores().engine.markSending(fence, first, callMs);
    return fence;
  };
  const intentsOf = async (uid: string) => (await read(stores(), uid)).intents;

  describe('intent', () => {
    test('is announced once for the same arguments, and again as a new attempt after a refusal', async () => {
      const fence = fenceOf(await claim(stores(), await declare(stores(), 'a')));
      expect(await announce(fence, first)).toMatchObject({
        attempt: 1,
        nonce: first,
        state: 'announced',
        sentAt: null,
      });
      expect(await announce(fence, second)).toMatchObject({ attempt: 1, nonce: first });
      await stores().engine.markSending(fence, first, callMs);
      await answer(fence.uid, first, ['refused']);
      expect(await announce(fence, second)).toMatchObject({ attempt: 2, nonce: second });
      expect((await intentsOf(fence.uid)).map((one) => one.nonce)).toEqual([second]);
    });

    test('is announced and sent only under the fence', async () => {
      const fence = fenceOf(await claim(stores(), await declare(stores(), 'a')));
      expect(await announce({ ...fence, epoch: 9 }, first)).toBeNull();
      expect(await announce({ ...fence, holder: 'worker-b' }, first)).toBeNull();
      await announce(fence, first);
      expect(await stores().engine.markSending({ ...fence, epoch: 9 }, first, callMs)).toBeNull();
      await stores().elapse(leaseMs + 1);
      expect(await stores().engine.markSending(fence, first, callMs)).toBeNull();
      expect((await intentsOf(fence.uid))[0]?.state).toBe('announced');
    });

    test('on the way holds the lease until the call is over', async () => {
      const fence = await sending();
      const [intent] = await intentsOf(fence.uid);
      expect(intent?.state).toBe('sending');
      expect((intent?.giveUpAt ?? 0) - (intent?.sentAt ?? 0)).toBe(callMs);
      await stores().elapse(callMs + 1_000);
      expect(await isDue(stores(), fence.uid)).toBe(false);
      await stores().elapse(2_000);
      expect(await isDue(stores(), fence.uid)).toBe(true);
    });

    test('is the only one on the way: a second send of the row is refused', async () => {
      const fence = await sending();
      await stores().engine.announce(fence, { effect: 'renew:2026', nonce: second, args: {} });
      expect(await stores().engine.markSending(fence, second, callMs)).toBeNull();
      expect(await stores().engine.markSending(fence, first, callMs)).toBeNull();
      await answer(fence.uid, first, ['unknown']);
      expect(await stores().engine.markSending(fence, second, callMs)).toBeNull();
      await answer(fence.uid, first, ['done']);
      expect(await stores().engine.markSending(fence, second, callMs)).not.toBeNull();
    });

    test('takes its answer whoever holds the lease, and the row is due', async () => {
      const fence = await sending();
      await stores().elapse(callMs + 3_000);
      const taken = await claim(stores(), fence.uid, 'worker-b');
      await answer(fence.uid, first, ['done', 'id-1']);
      expect((await intentsOf(fence.uid))[0]).toMatchObject({ state: 'done', result: 'id-1', contradicts: false });
      await stores().engine.settle(shard, [{ ...settleOf(taken), holder: 'worker-b' }]);
      expect(await isDue(stores(), fence.uid)).toBe(true);
    });

    test('answered while nobody holds the row makes it due', async () => {
      const fence = await sending();
      await stores().engine.settle(shard, [settleOf({ ...(await claimOf(fence)) })]);
      expect(await isDue(stores(), fence.uid)).toBe(false);
      await answer(fence.uid, first, ['done']);
      expect(await isDue(stores(), fence.uid)).toBe(true);
    });

    test('retired and then done after all is contradicted, and shows', async () => {
      const fence = await sending();
      await stores().engine.retire({ shard, uid: fence.uid, nonce: first });
      expect((await intentsOf(fence.uid))[0]?.state).toBe('retired');
      await announce(fence, second);
      await answer(fence.uid, first, ['done', 'id-1']);
      const shown = (await intentsOf(fence.uid)).find((one) => one.nonce === first);
      expect(shown).toMatchObject({ contradicts: true, result: 'id-1' });
    });

    test('that was contradicted is listed, decided by a person, and settled once', async () => {
      const fence = await sending();
      const { resources, engine } = stores();
      const scope = { workspace };
      const decision = { effect: 'create:0', outcome: 'did_not', evidence: 'cancelled it', by: principal } as const;
      const decide = () => resources.decide(scope, { key: keyOf('a'), decision });
      const listed = async () =>
        (await resources.unknowns(scope, { workspace, limit: 10 })).map((one) => [
          one.attempt,
          one.state,
          one.contradicts,
        ]);
      await engine.retire({ shard, uid: fence.uid, nonce: first });
      await announce(fence, second);
      await engine.markSending(fence, second, callMs);
      await answer(fence.uid, first, ['done', 'id-1']);
      expect(await listed()).toEqual([[1, 'done', true]]);
      expect(await decide()).toBe(false);
      await answer(fence.uid, second, ['unknown']);
      expect(new Set(await listed())).toEqual(
        new Set([
          [1, 'done', true],
          [2, 'unknown', false],
        ]),
      );
      const listeners = [`decision:${fence.uid}` as const];
      await engine.settle(shard, [settleOf(await claimOf(fence), { listeners })]);
      expect(await decide()).toBe(true);
      expect(await isDue(stores(), fence.uid)).toBe(true);
      const retired = { nonce: first, state: 'retired' } as const;
      await pass(stores(), fence.uid, { intents: [retired], dueInMs: 0 });
      expect(await listed()).toHaveLength(2);
      const intents = [
        { ...retired, contradicted: true as const },
        { nonce: second, state: 'retired' as const },
      ];
      await pass(stores(), fence.uid, { intents, decided: ['create:0'] });
      expect(await listed()).toEqual([]);
      expect(await intentsOf(fence.uid)).toMatchObject([{ nonce: second, state: 'retired', contradicts: false }]);
      expect((await read(stores(), fence.uid)).decisions).toEqual([]);
      expect(await decide()).toBe(false);
    });

    test('that was contradicted is retired with all that were done of it, those put away included; nothing else of it is', async () => {
      const fence = await sending();
      const { engine, resources } = stores();
      const ages = { tombstoneMs: 60_000, passMs: 60_000, topicMs: 60_000, doneIntentsKept: 0, batchMax: 100 };
      await engine.retire({ shard, uid: fence.uid, nonce: first });
      await announce(fence, second);
      await engine.markSending(fence, second, callMs);
      await answer(fence.uid, second, ['done', 'id-2']);
      await engine.sweep(shard, ages);
      expect(await intentsOf(fence.uid)).toEqual([]);
      await answer(fence.uid, first, ['done', 'id-1']);
      await engine.sweep(shard, ages);
      expect((await intentsOf(fence.uid)).map((one) => one.nonce)).toEqual([first, second]);
      const decision = { effect: 'create:0', outcome: 'did_not', evidence: 'took both away', by: principal } as const;
      expect(await resources.decide({ workspace }, { key: keyOf('a'), decision })).toBe(true);
      const intents = [first, second].map((nonce) => ({ nonce, state: 'retired', contradicted: true }) as const);
      await engine.settle(shard, [settleOf(await claimOf(fence), { intents, decided: ['create:0'], dueInMs: 0 })]);
      const held = fenceOf(await claim(stores(), fence.uid));
      expect(await announce(held, third)).toMatchObject({ attempt: 3, nonce: third, state: 'announced' });
      await engine.markSending(held, third, callMs);
      await engine.settle(shard, [
        settleOf(await claimOf(held), { intents: [{ nonce: third, state: 'retired', contradicted: true }] }),
      ]);
      expect((await intentsOf(fence.uid)).map((one) => one.state)).toEqual(['sending']);
    });

    test('retired stays retired when the answer is a refusal or unknown', async () => {
      const fence = await sending();
      await stores().engine.retire({ shard, uid: fence.uid, nonce: first });
      for (const state of ['refused', 'unknown'] as const) await answer(fence.uid, first, [state]);
      expect((await intentsOf(fence.uid))[0]).toMatchObject({ state: 'retired', contradicts: false });
    });

    test('found done by observation still takes the result that its late answer brings', async () => {
      const fence = await sending();
      const done = { intents: [{ nonce: first, state: 'done' as const }] };
      await stores().engine.settle(shard, [settleOf(await claimOf(fence), done)]);
      expect((await intentsOf(fence.uid))[0]).toMatchObject({ state: 'done', result: null });
      await answer(fence.uid, first, ['done', 'secret']);
      expect((await intentsOf(fence.uid))[0]).toMatchObject({ state: 'done', result: 'secret', contradicts: false });
    });

    test('that the plan no longer asks for is dropped; one on the way is not', async () => {
      const fence = await sending();
      await stores().engine.announce(fence, { effect: 'renew:2026', nonce: second, args: {} });
      const change = { dropAnnounced: [first, second] };
      await stores().engine.settle(shard, [settleOf(await claimOf(fence), change)]);
      expect((await intentsOf(fence.uid)).map((one) => [one.nonce, one.state])).toEqual([[first, 'sending']]);
    });

    test('is not closed by the settle of an old epoch', async () => {
      const fence = await sending();
      const change = { epoch: 9, intents: [{ nonce: first, state: 'retired' as const }] };
      await stores().engine.settle(shard, [settleOf(await claimOf(fence), change)]);
      expect((await intentsOf(fence.uid))[0]?.state).toBe('sending');
    });
  });

  describe('put away', () => {
    const ages = { tombstoneMs: 60_000, passMs: 60_000, topicMs: 60_000, doneIntentsKept: 2, batchMax: 100 };
    let sends = 0;
    const done = async (fence: Fence, effect: string, state: Reply[0] = 'done'): Promise<string> => {
      const nonce = `${effect}/${String((sends += 1))}`;
      await stores().engine.announce(fence, { effect, nonce, args: {} });
      await stores().engine.markSending(fence, nonce, callMs);
      await answer(fence.uid, nonce, [state]);
      await stores().elapse(1_000);
      return nonce;
    };
    const seen = async (uid: string) => (await intentsOf(uid)).map((one) => `${one.effect} ${one.state}`);
    const claimed = async (): Promise<Fence> => fenceOf(await claim(stores(), await declare(stores(), 'a')));

    test('done intents but the newest of their family are not read again, and are never announced again', async () => {
      const fence = await claimed();
      await done(fence, 'create:1');
      for (const hour of [1, 2, 3, 4]) await done(fence, `run:${String(hour)}`);
      await stores().engine.sweep(shard, ages);
      expect(await seen(fence.uid)).toEqual(['create:1 done', 'run:3 done', 'run:4 done']);
      const again = await stores().engine.announce(fence, { effect: 'run:1', nonce: second, args: {} });
      expect(again).toMatchObject({ effect: 'run:1', state: 'done', attempt: 1 });
      expect(await stores().engine.markSending(fence, second, callMs)).toBeNull();
      await stores().elapse(120_000);
      await stores().engine.sweep(shard, ages);
      const held = await claimAgain(fence);
      const later = await stores().engine.announce(held, { effect: 'run:1', nonce: second, args: {} });
      expect(later).toMatchObject({ nonce: again?.nonce, state: 'done' });
    });

    test('replaced attempts go, the last one stays and is counted on from', async () => {
      const fence = await claimed();
      for (let n = 0; n < 5; n += 1) await done(fence, 'create:0', 'refused');
      await stores().engine.sweep(shard, ages);
      await stores().elapse(120_000);
      await stores().engine.sweep(shard, ages);
      const held = await claimAgain(fence);
      expect(await seen(fence.uid)).toEqual(['create:0 refused']);
      expect(await announce(held, second)).toMatchObject({ attempt: 6 });
    });

    test('one that is answered as done after all comes back', async () => {
      const fence = await sending();
      await stores().engine.retire({ shard, uid: fence.uid, nonce: first });
      await announce(fence, second);
      await stores().engine.sweep(shard, ages);
      await answer(fence.uid, first, ['done']);
      const shown = (await intentsOf(fence.uid)).find((one) => one.nonce === first);
      expect(shown).toMatchObject({ state: 'done', contradicts: true });
      await stores().engine.sweep(shard, { ...ages, doneIntentsKept: 0 });
      expect((await intentsOf(fence.uid)).map((one) => one.nonce)).toContain(first);
    });

    const claimAgain = async (fence: Fence): Promise<Fence> => fenceOf(await claim(stores(), fence.uid));
  });

  describe('unknown outcome', () => {
    const by = principal;
    test('is listed once the call is given up, and a decision wakes the row and is applied once', async () => {
      const fence = await sending();
      const scope = { workspace };
      const unknowns = () => stores().resources.unknowns(scope, { workspace, limit: 10 });
      expect(await unknowns()).toEqual([]);
      await stores().elapse(callMs + 3_000);
      expect(await unknowns()).toMatchObject([{ uid: fence.uid, effect: 'create:0', attempt: 1, state: 'sending' }]);
      const decision = { effect: 'create:0', outcome: 'did_not', evidence: 'asked them', by } as const;
      await pass(stores(), fence.uid, { listeners: [`decision:${fence.uid}`] });
      expect(await isDue(stores(), fence.uid)).toBe(false);
      expect(await stores().resources.decide(scope, { key: keyOf('a'), decision })).toBe(true);
      expect(await isDue(stores(), fence.uid)).toBe(true);
      expect((await read(stores(), fence.uid)).decisions).toMatchObject([decision]);
      const intents = [{ nonce: first, state: 'retired' as const }];
      await pass(stores(), fence.uid, { intents, decided: ['create:0'] });
      expect((await read(stores(), fence.uid)).decisions).toEqual([]);
      expect(await unknowns()).toEqual([]);
      expect(await stores().resources.decide(scope, { key: keyOf('a'), decision })).toBe(false);
    });

    test('of another workspace is neither seen nor decided', async () => {
      await sending();
      await stores().elapse(callMs + 3_000);
      const scope = { workspace: 'stranger' };
      expect(await stores().resources.unknowns(scope, { limit: 10 })).toEqual([]);
      const decision = { effect: 'create:0', outcome: 'happened', evidence: '', by } as const;
      expect(await stores().resources.decide(scope, { key: keyOf('a'), decision })).toBe(false);
      expect(await stores().resources.unknowns('platform', { limit: 10 })).toHaveLength(1);
    });
  });

  /** The claim that a fence came from, as read back. */
  async function claimOf(fence: Fence) {
    const { row, work } = await read(stores(), fence.uid);
    const { epoch, wakeSeq } = work;
    return {
      shard,
      uid: fence.uid,
      workspace: row.workspace,
      kind: row.kind,
      epoch,
      wakeSeq,
      claimedAt: row.createdAt,
    };
  }
}
