import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DeclareInput } from '#controller/store/engine-store.ts';
import type { Claim, RowWrite } from '#controller/store/rows.ts';
import { topic } from '#resources/topic.ts';
import {
  claim,
  declare,
  edit,
  insertOf,
  isDue,
  keyOf,
  pass,
  principal,
  read,
  settleOf,
  statusOf,
  versionNow,
  workspace,
} from '#test/conformance/store-contract/fixture.ts';
import { createSqlStores, gate, sessionsWaiting, type SqlStores } from '#test/support/stores.ts';

// Children are written with their owner's settle, or neither is; the rest is in the contract (deletion.ts, declare).

let stores: SqlStores;
beforeAll(async () => {
  stores = await createSqlStores();
});
afterAll(() => stores[Symbol.asyncDispose]());
beforeEach(() => stores.clear());

const childOf = (owner: string, slot: string) => insertOf(`child-${slot}`, { owner: { uid: owner, slot } });

const input = (one: Claim, decide: DeclareInput<never>['decide']): DeclareInput<never> => ({
  settle: settleOf(one, { status: statusOf(), fires: [topic.ref('Bucket', workspace, 'owner')] }),
  reads: [],
  follow: () => [],
  decide,
});

describe('a declare', () => {
  test('gives children their owner, slot, principal, queue entry and revision, and versions before the owner', async () => {
    const owner = await declare(stores, 'owner');
    const one = await claim(stores, owner);
    const before = await versionNow(stores);
    const children = [childOf(owner, 'one'), childOf(owner, 'two')];
    expect(await stores.engine.settleDeclare(input(one, () => children))).toEqual({ result: 'settled' });
    const rows = await stores.db.owner`
      select r.uid, r.slot, r.owner_uid, r.created_by, r.version, v.generation, v.by, w.due_at < statement_timestamp() as due
      from resources r join revisions v using (shard, uid) join work w using (shard, uid)
      where r.owner_uid is not null order by r.version`;
    expect(rows).toMatchObject(
      children.map(({ uid }, n) => ({
        uid,
        slot: n === 0 ? 'one' : 'two',
        owner_uid: owner,
        created_by: principal,
        by: principal,
        version: String(before + 1 + n),
        generation: '1',
        due: true,
      })),
    );
    expect((await read(stores, owner)).row.version).toBe(before + 3);
    expect(await versionNow(stores)).toBe(before + 3);
    expect((await read(stores, children[0]?.uid ?? '')).owner).toEqual({ kind: 'Bucket', name: 'owner' });
  });

  test('changes, deletes and undeletes children as decided', async () => {
    const owner = await declare(stores, 'owner');
    const child = childOf(owner, 'one');
    await stores.engine.settleDeclare(input(await claim(stores, owner), () => [child]));
    const plain = { uid: child.uid, key: child.key, by: principal, fires: [] };
    const texts = { labels: {}, annotations: {}, approved: [] };
    const steps: RowWrite[] = [
      { op: 'update', ...plain, ...texts, spec: { n: 2 }, newGeneration: true },
      { op: 'delete', ...plain, policy: 'Delete', undoForMs: 1_000, confirmed: false, approved: ['digest'] },
      { op: 'undelete', ...plain },
    ];
    const seen: unknown[] = [];
    for (const step of steps) {
      await edit(stores, { uid: owner, name: 'owner' }, { step: step.op });
      const one = await claim(stores, owner);
      await stores.engine.settleDeclare({ ...input(one, () => [step]), settle: settleOf(one, { generation: 9 }) });
      const { row, revision } = await read(stores, child.uid);
      seen.push([row.generation, row.spec, row.deletedAt !== null, revision?.approved]);
    }
    expect(seen).toEqual([
      [2, { n: 2 }, false, []],
      [3, { n: 2 }, true, ['digest']],
      [4, { n: 2 }, false, []],
    ]);
  });

  test('wakes who hears of the children, the owner too', async () => {
    const owner = await declare(stores, 'owner');
    const name = topic.list('Bucket', owner);
    const other = await declare(stores, 'other');
    for (const uid of [owner, other])
      await pass(stores, uid, { listeners: [name], dueInMs: uid === owner ? 0 : 600_000 });
    const one = await claim(stores, owner);
    const child = { ...childOf(owner, 'one'), fires: [name] };
    await stores.engine.settleDeclare(input(one, () => [child]));
    expect(await isDue(stores, owner)).toBe(true);
    expect(await isDue(stores, other)).toBe(true);
  });

  test('that breaks a rule of the table writes neither child nor settle', async () => {
    const owner = await declare(stores, 'owner');
    await declare(stores, 'child-one');
    const one = await claim(stores, owner);
    const version = await versionNow(stores);
    await expect(stores.engine.settleDeclare(input(one, () => [childOf(owner, 'one')]))).rejects.toThrow(
      /resources_name_unique/,
    );
    expect((await read(stores, owner)).row.observedGeneration).toBe(0);
    expect((await read(stores, owner)).work.holder).not.toBeNull();
    expect(await versionNow(stores)).toBe(version);
  });

  test('that throws in its decision leaves nothing behind, and the pool goes on', async () => {
    const owner = await declare(stores, 'owner');
    const one = await claim(stores, owner);
    const thrown = stores.engine.settleDeclare(
      input(one, () => {
        throw new Error('a bug in plan');
      }),
    );
    await expect(thrown).rejects.toThrow('a bug in plan');
    expect(await stores.engine.settleDeclare(input(one, () => []))).toEqual({ result: 'settled' });
  });
});

describe('two declares of one slot', () => {
  test('by an old and a new holder of the owner: the second to get the lock is fenced or sees the child', async () => {
    const owner = await declare(stores, 'owner');
    const old = await claim(stores, owner);
    await stores.elapse(15_000);
    const taken = await claim(stores, owner, 'worker-b');
    const declareAs = (one: Claim, holder: string) =>
      stores.engine.settleDeclare({
        ...input(one, ({ children }) => (children.length > 0 ? [] : [childOf(owner, 'one')])),
        settle: settleOf(one, { holder }),
      });
    const results = await Promise.all([declareAs(old, 'worker-a'), declareAs(taken, 'worker-b')]);
    expect(results).toEqual([{ result: 'fenced' }, { result: 'settled' }]);
    expect(await stores.db.owner`select from resources where owner_uid = ${owner}`).toHaveLength(1);
  });

  test('the owner taken over between the decision and the write: nothing is written', async () => {
    const owner = await declare(stores, 'owner');
    const one = await claim(stores, owner);
    const [locked, commit] = [gate(), gate()];
    const takeover = stores.db.owner.begin(async (tx) => {
      await tx`update work set epoch = epoch + 1, holder = 'worker-b' where uid = ${owner}`;
      locked.open();
      await commit.opened;
    });
    await locked.opened;
    let decided = false;
    const declaring = stores.engine.settleDeclare(
      input(one, () => {
        decided = true;
        return [childOf(owner, 'one')];
      }),
    );
    await sessionsWaiting(stores.db, 1);
    expect(decided).toBe(true);
    commit.open();
    await takeover;
    expect(await declaring).toEqual({ result: 'fenced' });
    expect((await stores.engine.readKey(keyOf('child-one'))).row).toBeNull();
  });
});
