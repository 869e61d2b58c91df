import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Fence } from '#controller/store/rows.ts';
import {
  claim,
  declare,
  fenceOf,
  insertOf,
  keyOf,
  leaseMs,
  remove,
  settleOf,
  shard,
  statusOf,
} from '#test/conformance/store-contract/fixture.ts';
import { createSqlStores, sessionsWaiting, gate, type SqlStores } from '#test/support/stores.ts';

// A worker that lost its lease changes nothing, by no method and at no moment (E1, law 13).

let stores: SqlStores;
beforeAll(async () => {
  stores = await createSqlStores();
});
afterAll(() => stores[Symbol.asyncDispose]());
beforeEach(() => stores.clear());

const tables = [
  'shards',
  'resources',
  'work',
  'topics',
  'listeners',
  'intents',
  'passes',
  'revisions',
  'tombstones',
  'operations',
];

/** Everything that is stored, as text. */
async function everything(): Promise<string> {
  const rows = await Promise.all(
    tables.map((table) => stores.db.owner.unsafe(`select t::text as row from ${table} t order by 1`)),
  );
  return JSON.stringify(rows);
}

/** A row that worker-a claimed first and worker-b after its lease was over; both pass by the same steps. */
async function takenOver(): Promise<{ uid: string; zombie: Fence; owner: Fence; wakeSeq: number }> {
  const uid = await declare(stores, 'a');
  await remove(stores, { uid, name: 'a' });
  const old = await claim(stores, uid);
  await stores.engine.announce(fenceOf(old), { effect: 'create:1', nonce: 'n1', args: {} });
  await stores.elapse(leaseMs);
  const taken = await claim(stores, uid, 'worker-b');
  return { uid, zombie: fenceOf(old), owner: fenceOf(taken, 'worker-b'), wakeSeq: taken.wakeSeq };
}

const base = { workspace: 'acme', kind: 'Bucket', claimedAt: 0 };

/** Every method that a fence guards, with what it answers when it refuses. */
const guarded: Record<string, { act: (fence: Fence) => Promise<unknown>; refusal: unknown }> = {
  settle: {
    act: async (fence) => {
      const claimed = { ...base, ...fence, wakeSeq: 0 };
      const settle = settleOf(claimed, {
        holder: fence.holder,
        status: statusOf(),
        fires: ['funds:acme'],
        listeners: ['x:y'],
      });
      return [...(await stores.engine.settle(shard, [settle])).values()];
    },
    refusal: ['fenced'],
  },
  'settle of nothing new': {
    act: async (fence) => [
      ...(
        await stores.engine.settle(shard, [settleOf({ ...base, ...fence, wakeSeq: 0 }, { holder: fence.holder })])
      ).values(),
    ],
    refusal: ['fenced'],
  },
  settleRemoval: {
    act: (fence) =>
      stores.engine.settleRemoval({
        settle: settleOf({ ...base, ...fence, wakeSeq: 0 }, { holder: fence.holder, generation: 2 }),
        retained: [],
        claim: null,
        unrelatedKinds: [],
        needs: () => false,
      }),
    refusal: { result: 'fenced' },
  },
  settleDeclare: {
    act: (fence) =>
      stores.engine.settleDeclare({
        settle: settleOf({ ...base, ...fence, wakeSeq: 0 }, { holder: fence.holder, status: statusOf() }),
        reads: [],
        follow: () => [],
        decide: () => [insertOf('child', { owner: { uid: fence.uid, slot: 's' } })],
      }),
    refusal: { result: 'fenced' },
  },
  announce: {
    act: (fence) => stores.engine.announce(fence, { effect: 'create:2', nonce: 'n2', args: {} }),
    refusal: null,
  },
  markSending: { act: (fence) => stores.engine.markSending(fence, 'n1', 1_000), refusal: null },
  extend: { act: (fence) => stores.engine.extend(fence, 1_000), refusal: null },
  beginFinalizing: {
    act: (fence) => stores.engine.beginFinalizing(fence, { generation: 2, destroysData: false }),
    refusal: 'fenced',
  },
  clearFinalizing: { act: (fence) => stores.engine.clearFinalizing(fence), refusal: undefined },
  beginRecreate: { act: (fence) => stores.engine.beginRecreate(fence), refusal: null },
  release: { act: (fence) => stores.engine.release([fence]), refusal: undefined },
  renew: {
    act: ({ holder, uid }) => stores.engine.renew({ shard, holder, uids: [uid], leaseMs }),
    refusal: [],
  },
};

describe('after a takeover', () => {
  test.for(Object.keys(guarded))('the old holder changes nothing by %s', async (name) => {
    const { zombie } = await takenOver();
    const before = await everything();
    expect(await guarded[name]?.act(zombie)).toEqual(guarded[name]?.refusal);
    expect(await everything()).toBe(before);
  });

  const telling = Object.keys(guarded).filter((name) => guarded[name]?.refusal !== undefined);
  test.for(telling)('the new holder is not refused %s', async (name) => {
    const { owner } = await takenOver();
    expect(await guarded[name]?.act(owner)).not.toEqual(guarded[name]?.refusal);
  });

  test('a new holder of the same name has another epoch, so its own past is fenced too', async () => {
    const { uid, zombie } = await takenOver();
    await stores.elapse(leaseMs);
    await claim(stores, uid, zombie.holder);
    const before = await everything();
    for (const [name, { act, refusal }] of Object.entries(guarded)) {
      if (name !== 'renew') expect(await act(zombie)).toEqual(refusal);
    }
    expect(await everything()).toBe(before);
  });
});

describe('a takeover that commits while the old holder waits for the row', () => {
  test.for(Object.keys(guarded))('refuses %s', async (name) => {
    const uid = await declare(stores, 'a');
    await remove(stores, { uid, name: 'a' });
    const old = fenceOf(await claim(stores, uid));
    await stores.engine.announce(old, { effect: 'create:1', nonce: 'n1', args: {} });
    await stores.engine.beginFinalizing(old, { generation: 2, destroysData: false });
    const [locked, commit] = [gate(), gate()];
    const takeover = stores.db.owner.begin(async (tx) => {
      await tx`update work set epoch = epoch + 1, holder = 'worker-b' where uid = ${uid}`;
      locked.open();
      await commit.opened;
    });
    await locked.opened;
    const answer = guarded[name]?.act(old);
    await sessionsWaiting(stores.db, 1);
    commit.open();
    await takeover;
    expect(await answer).toEqual(guarded[name]?.refusal);
    expect((await stores.db.owner`select holder from work where uid = ${uid}`)[0]?.['holder']).toBe('worker-b');
    expect(await stores.db.owner`select from resources where owner_uid is not null`).toHaveLength(0);
    const row = (await stores.resources.get('platform', keyOf('a')))?.row;
    expect(row?.observedGeneration).toBe(0);
    expect(row?.finalizingAt).not.toBeNull();
  });
});
