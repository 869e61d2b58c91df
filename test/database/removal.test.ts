import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { beginFinalizing } from '#controller/store/engine/begin-finalizing.ts';
import { lockShard } from '#controller/store/queries/lock-shard.ts';
import type { Claim, Removal } from '#controller/store/rows.ts';
import { keyText } from '#resources/reference.ts';
import {
  claim,
  declare,
  fenceOf,
  insertOf,
  keyOf,
  pass,
  principal,
  read,
  remove,
  settleOf,
  shard,
  workspace,
  write,
} from '#test/conformance/store-contract/fixture.ts';
import { seedRows } from '#test/support/seed-rows.ts';
import { createSqlStores, gate, sessionsWaiting, type SqlStores } from '#test/support/stores.ts';

// Races around deletion, and what is left of a row that went; the rest is in the contract (deletion.ts).

let stores: SqlStores;
beforeAll(async () => {
  stores = await createSqlStores();
});
afterAll(() => stores[Symbol.asyncDispose]());
beforeEach(() => stores.clear());

/** A row being deleted, claimed. */
async function deleting(undoForMs = 0): Promise<Claim> {
  const uid = await declare(stores, 'a');
  await remove(stores, { uid, name: 'a' }, undoForMs);
  return await claim(stores, uid);
}

const removalOf = (one: Claim, more: Partial<Removal> = {}): Removal => ({
  settle: settleOf(one, { generation: 2 }),
  retained: [],
  claim: null,
  unrelatedKinds: [],
  needs: () => false,
  ...more,
});

/** Undeletes as admission does: it refuses once destruction has begun. */
async function undelete(uid: string): Promise<'undeleted' | 'refused'> {
  const key = keyOf('a');
  const outcome = await stores.resources.mutate({
    scope: { workspace },
    workspace,
    reads: [key],
    follow: () => [],
    decide: ({ rows }) => {
      const row = rows.get(keyText(key));
      if (row === undefined || row.finalizingAt !== null) return [];
      return [{ op: 'undelete', uid, key, by: principal, fires: [] }];
    },
  });
  return outcome.writes.length > 0 ? 'undeleted' : 'refused';
}

describe('undelete and the beginning of destruction', () => {
  test('an undelete that waits for the beginning to commit sees it and refuses', async () => {
    const one = await deleting();
    const [begun, commit] = [gate(), gate()];
    const { uid, epoch } = one;
    const beginning = stores.sql.transaction('beginning', async (tx) => {
      await lockShard(tx, shard);
      const [row] = await beginFinalizing(tx, shard, uid, epoch, fenceOf(one).holder, 2, true);
      begun.open();
      await commit.opened;
      return row?.result;
    });
    await begun.opened;
    const undeleting = undelete(uid);
    await sessionsWaiting(stores.db, 1);
    commit.open();
    expect([await beginning, await undeleting]).toEqual(['begun', 'refused']);
    expect((await read(stores, uid)).row.deletedAt).not.toBeNull();
  });

  test('a beginning that waits for an undelete to commit finds that the row has moved', async () => {
    const one = await deleting();
    const [decided, commit] = [gate(), gate()];
    const undeleting = stores.db.owner.begin(async (tx) => {
      await tx`select from shards where shard = ${shard} for no key update`;
      await tx`
        update resources set deleted_at = null, deletion_policy = null, undo_until = null, generation = generation + 1
        where uid = ${one.uid}`;
      decided.open();
      await commit.opened;
    });
    await decided.opened;
    const beginning = stores.engine.beginFinalizing(fenceOf(one), { generation: 2, destroysData: true });
    await sessionsWaiting(stores.db, 1);
    commit.open();
    await undeleting;
    expect(await beginning).toBe('moved');
    expect((await read(stores, one.uid)).row.finalizingAt).toBeNull();
  });

  test('at the same moment, many times: never both', async () => {
    for (let times = 0; times < 25; times += 1) {
      await stores.clear();
      const one = await deleting();
      const [undone, begun] = await Promise.all([
        undelete(one.uid),
        stores.engine.beginFinalizing(fenceOf(one), { generation: 2, destroysData: true }),
      ]);
      expect([
        ['undeleted', 'moved'],
        ['refused', 'begun'],
      ]).toContainEqual([undone, begun]);
    }
  });

  test('without the lock of the shard both would say yes: the control', async () => {
    const one = await deleting();
    const [begun, commit] = [gate(), gate()];
    const beginning = stores.sql.transaction('beginning', async (tx) => {
      const [row] = await beginFinalizing(tx, shard, one.uid, one.epoch, fenceOf(one).holder, 2, true);
      begun.open();
      await commit.opened;
      return row?.result;
    });
    await begun.opened;
    const [seen] = await stores.db.owner`select finalizing_at from resources where uid = ${one.uid}`;
    commit.open();
    expect([await beginning, seen?.['finalizing_at']]).toEqual(['begun', null]);
  });
});

describe('a removal', () => {
  test('looks at more dependents than one statement reads, and names the first ten', async () => {
    await seedRows(stores.db.owner, { workspace, count: 1_200, dueMsAgo: -3_600_000 });
    const one = await deleting();
    const last = removalOf(one, { needs: (row) => row.name === 'row-1199' });
    expect(await stores.engine.settleRemoval(last)).toMatchObject({
      result: 'blocked',
      dependents: [{ workspace, kind: 'Bucket', name: 'row-1199' }],
    });
    const all = await stores.engine.settleRemoval(removalOf(one, { needs: () => true }));
    expect(all).toMatchObject({ result: 'blocked' });
    expect('dependents' in all ? all.dependents : []).toHaveLength(10);
    expect((await read(stores, one.uid)).work.holder).toBe(fenceOf(one).holder);
  });

  test('cannot be overtaken by a new child or dependent: they wait for the lock and find the row gone', async () => {
    const one = await deleting();
    const [looked, decide] = [gate(), gate()];
    const blocked = stores.sql.transaction('look', async (tx) => {
      await lockShard(tx, shard);
      looked.open();
      await decide.opened;
    });
    await looked.opened;
    const removing = stores.engine.settleRemoval(removalOf(one));
    await sessionsWaiting(stores.db, 1);
    const declaring = write(stores, [insertOf('dependent')]);
    await sessionsWaiting(stores.db, 2);
    decide.open();
    await blocked;
    expect(await removing).toEqual({ result: 'removed' });
    await declaring;
    const [removed, declared] = await stores.db.owner<{ version: string }[]>`
      select version from tombstones union all select version from resources order by version`;
    expect(Number(declared?.version)).toBe(Number(removed?.version) + 1);
  });

  test('takes a version only if it happens', async () => {
    const one = await deleting();
    const version = async () => (await stores.engine.readRows(shard, [])).version;
    const before = await version();
    await stores.engine.settleRemoval(removalOf({ ...one, epoch: 9 }));
    await stores.engine.settleRemoval(removalOf(one, { settle: settleOf(one, { generation: 1 }) }));
    expect(await version()).toBe(before);
    await stores.engine.settleRemoval(removalOf(one));
    expect(await version()).toBe(before + 1);
  });

  test('keeps what outlives the row, until its end', async () => {
    const one = await deleting();
    const retained = [
      { kind: 'Domain', externalRef: 'a.example', untilInMs: 86_400_000, reason: 'Registered' },
      { kind: 'Backup', externalRef: 'b', untilInMs: null, reason: 'Retention' },
    ];
    await stores.engine.settleRemoval(removalOf(one, { retained }));
    const rows = await stores.db.owner`
      select kind, external_ref, workspace, uid, reason, until - retained_at as for from retained order by kind`;
    expect(rows).toEqual([
      { kind: 'Backup', external_ref: 'b', workspace, uid: one.uid, reason: 'Retention', for: null },
      { kind: 'Domain', external_ref: 'a.example', workspace, uid: one.uid, reason: 'Registered', for: '1 day' },
    ]);
  });

  test('releases only its own claim', async () => {
    const one = await deleting();
    await stores.engine.takeClaim({ kind: 'Bucket', externalName: 'x', workspace: 'other', uid: 'someone' });
    await stores.engine.settleRemoval(removalOf(one, { claim: 'x' }));
    expect(await stores.db.owner`select uid from claims`).toEqual([{ uid: 'someone' }]);
  });

  test('leaves no listener, no queue entry and no announced intent', async () => {
    const uid = await declare(stores, 'a');
    await pass(stores, uid, { listeners: ['funds:acme'], dueInMs: 0 });
    await remove(stores, { uid, name: 'a' });
    const one = await claim(stores, uid);
    await stores.engine.announce(fenceOf(one), { effect: 'x', nonce: 'n1', args: {} });
    const settle = settleOf(one, { generation: 2, dropAnnounced: ['n1'] });
    await stores.engine.settleRemoval(removalOf(one, { settle }));
    for (const table of ['work', 'listeners', 'intents', 'resources']) {
      expect(await stores.db.owner.unsafe(`select from ${table}`)).toHaveLength(0);
    }
  });
});

describe('sweeping', () => {
  const hour = { tombstoneMs: 3_600_000, passMs: 3_600_000, topicMs: 3_600_000, doneIntentsKept: 10, batchMax: 3 };

  test('trims tombstones in order, a batch at a time, and says how far', async () => {
    for (let n = 0; n < 5; n += 1) {
      const one = await deleting();
      await stores.engine.settleRemoval(removalOf(one));
    }
    const left = async () => (await stores.db.owner`select version from tombstones order by version`).length;
    await stores.engine.sweep(shard, hour);
    expect(await left()).toBe(5);
    await stores.elapse(3_601_000);
    await stores.engine.sweep(shard, hour);
    expect(await left()).toBe(2);
    const [at] = await stores.db.owner`
      select trimmed_through < (select min(version) from tombstones) as before from shards where shard = ${shard}`;
    expect(at?.['before']).toBe(true);
    await stores.engine.sweep(shard, hour);
    expect(await left()).toBe(0);
  });

  test('trims what is left of rows that are gone, and nothing of those that live', async () => {
    const gone = await deleting();
    await stores.engine.settleRemoval(removalOf(gone));
    await declare(stores, 'b');
    await stores.elapse(3_601_000);
    await stores.engine.sweep(shard, hour);
    expect(await stores.db.owner`select uid from revisions where uid = ${gone.uid}`).toHaveLength(0);
    expect(await stores.db.owner`select uid from revisions`).toHaveLength(1);
  });

  test('trims topics that nobody listens to once they are old, whichever version they fired at', async () => {
    const listener = await declare(stores, 'listener');
    await pass(stores, listener, { listeners: ['ref:kept'] });
    await stores.engine.fire(shard, ['ref:kept', 'ref:old'], 0);
    const topics = async () =>
      (await stores.db.owner`select topic from topics order by topic`).map((row) => row['topic']);
    // The first sweep after an hour notes where the counter stands, the one an hour later trims up to there.
    for (let hours = 0; hours < 2; hours += 1) {
      await stores.elapse(3_601_000);
      await stores.engine.sweep(shard, hour);
    }
    expect(await topics()).toEqual(['ref:kept']);
    await stores.engine.fire(shard, ['ref:new'], 0);
    await stores.engine.sweep(shard, hour);
    expect(await topics()).toEqual(['ref:kept', 'ref:new']);
  });
});
