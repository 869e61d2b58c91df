import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Removal, Settle } from '#controller/store/rows.ts';
import { topic } from '#resources/topic.ts';
import {
  claim,
  declare,
  fenceOf,
  insertOf,
  pass,
  remove,
  settleOf,
  shard,
  statusOf,
  workspace,
} from '#test/conformance/store-contract/fixture.ts';
import { createSqlStores, type SqlStores } from '#test/support/stores.ts';

// E6: a settle whose COMMIT got no answer may be sent again. The second one finds the first and changes nothing at all.

let stores: SqlStores;
beforeAll(async () => {
  stores = await createSqlStores();
});
afterAll(() => stores[Symbol.asyncDispose]());
beforeEach(() => stores.clear());

/** Every table, with the transaction that wrote each row: equal text means that nothing was even rewritten. */
async function everything(): Promise<string> {
  const names = await stores.db.owner<{ name: string }[]>`
    select table_name as name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'`;
  const tables = await Promise.all(
    names.map(({ name }) => stores.db.owner.unsafe(`select '${name}', xmin::text, t::text from ${name} t order by 3`)),
  );
  return JSON.stringify(tables);
}

const name = topic.ref('Bucket', workspace, 'a');
const journal = { observed: null, observedDigest: '', plan: null, planDigest: '', calls: [], traceId: null };

/** A row with an intent of each sort that a settle may close, a decision, and a listener to its topic. */
async function busyRow(): Promise<{ uid: string; settle: Settle }> {
  const listener = await declare(stores, 'listener');
  await pass(stores, listener, { listeners: [name] });
  const uid = await declare(stores, 'a');
  const claimed = await claim(stores, uid);
  await stores.engine.announce(fenceOf(claimed), { effect: 'create:1', nonce: 'n1', args: {} });
  await stores.engine.markSending(fenceOf(claimed), 'n1', 1_000);
  await stores.engine.announce(fenceOf(claimed), { effect: 'create:2', nonce: 'n2', args: {} });
  await stores.resources.decide('platform', {
    key: { workspace, kind: 'Bucket', name: 'a' },
    decision: { effect: 'create:1', outcome: 'did_not', evidence: 'looked', by: insertOf('x').by },
  });
  const settle = settleOf(claimed, {
    status: statusOf(),
    listeners: ['funds:acme'],
    fires: [name],
    verified: true,
    materialized: true,
    recentActions: [{ digest: 'x', acknowledgedAt: 1, count: 1 }],
    intents: [{ nonce: 'n1', state: 'retired' }],
    dropAnnounced: ['n2'],
    decided: ['create:1'],
    operations: [{ key: 'dump', op: 'start', input: {} }],
    pass: { generation: 1, trigger: 'spec', outcome: 'acted', durationMs: 1, ...journal },
  });
  return { uid, settle };
}

describe('a settle sent again', () => {
  test('writes everything once and then nothing, not even a version', async () => {
    const { uid, settle } = await busyRow();
    expect((await stores.engine.settle(shard, [settle])).get(uid)).toBe('settled');
    const before = await everything();
    for (let times = 0; times < 3; times += 1) {
      expect((await stores.engine.settle(shard, [settle])).get(uid)).toBe('fenced');
    }
    expect(await everything()).toBe(before);
  });

  test('after the next claim of the same worker still changes nothing', async () => {
    const { uid, settle } = await busyRow();
    await stores.engine.settle(shard, [{ ...settle, dueInMs: 0 }]);
    await claim(stores, uid);
    const before = await everything();
    expect((await stores.engine.settle(shard, [settle])).get(uid)).toBe('fenced');
    expect(await everything()).toBe(before);
  });

  test('beside fresh ones in one batch keeps out of their way', async () => {
    const { uid, settle } = await busyRow();
    await stores.engine.settle(shard, [settle]);
    const other = await declare(stores, 'other');
    const fresh = settleOf(await claim(stores, other), { status: statusOf() });
    const results = await stores.engine.settle(shard, [settle, fresh]);
    expect([results.get(uid), results.get(other)]).toEqual(['fenced', 'settled']);
  });
});

describe('a removal sent again', () => {
  test('finds the row gone and leaves one tombstone', async () => {
    const uid = await declare(stores, 'a');
    await remove(stores, { uid, name: 'a' });
    const settle = settleOf(await claim(stores, uid), { generation: 2, fires: [name] });
    const kept = [{ kind: 'Bucket', externalRef: 'b', untilInMs: null, reason: 'Retention' }];
    const removal: Removal = { settle, retained: kept, claim: 'x', unrelatedKinds: [], needs: () => false };
    expect(await stores.engine.settleRemoval(removal)).toEqual({ result: 'removed' });
    const before = await everything();
    expect(await stores.engine.settleRemoval(removal)).toEqual({ result: 'fenced' });
    expect(await everything()).toBe(before);
  });
});

describe('a declare sent again', () => {
  test('writes the children once', async () => {
    const uid = await declare(stores, 'a');
    const settle = settleOf(await claim(stores, uid), { status: statusOf() });
    const child = insertOf('child', { owner: { uid, slot: 's' } });
    const input = { settle, reads: [], follow: () => [], decide: () => [child] };
    expect(await stores.engine.settleDeclare(input)).toEqual({ result: 'settled' });
    const before = await everything();
    expect(await stores.engine.settleDeclare(input)).toEqual({ result: 'fenced' });
    expect(await everything()).toBe(before);
  });
});
