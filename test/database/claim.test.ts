import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '#controller/clock.ts';
import { createOptions } from '#controller/options.ts';
import { createClaimer } from '#controller/queue/claim.ts';
import { shardOf } from '#resources/shard.ts';
import {
  claimAll,
  declare,
  insertOf,
  keyOf,
  leaseMs,
  settleOf,
  shard,
  write,
} from '#test/conformance/store-contract/fixture.ts';
import { seedRows } from '#test/support/seed-rows.ts';
import { createSqlStores, gate, type SqlStores } from '#test/support/stores.ts';

// What only a real database can show of claims; the rest is in the contract (test/conformance/store-contract/claims.ts).

let stores: SqlStores;
beforeAll(async () => {
  stores = await createSqlStores();
});
afterAll(() => stores[Symbol.asyncDispose]());
beforeEach(() => stores.clear());

const claimAs = (holder: string, limit: number) =>
  stores.engine.claim({ shard, holder, limit, perWorkspaceMax: limit, leaseMs });

/** Slugs of other workspaces in the same shard. */
function neighbours(count: number): string[] {
  const found: string[] = [];
  for (let n = 0; found.length < count; n += 1) if (shardOf(`ws${n}`) === shard) found.push(`ws${n}`);
  return found;
}

describe('many claimers', () => {
  test('never get the same row, and together get every row', async () => {
    await write(
      stores,
      Array.from({ length: 120 }, (_, n) => insertOf(`row-${n}`)),
    );
    const taken: string[] = [];
    const work = async (holder: string): Promise<void> => {
      for (;;) {
        const claims = await claimAs(holder, 7);
        taken.push(...claims.map((one) => one.uid));
        if (claims.length === 0) return;
      }
    };
    await Promise.all(['a', 'b', 'c', 'd'].map(work));
    expect(taken).toHaveLength(120);
    expect(new Set(taken).size).toBe(120);
  });

  test('skip rows that somebody else has locked, and take the next ones instead of waiting', async () => {
    const uids: string[] = [];
    for (const name of ['a', 'b', 'c', 'd']) uids.push(await declare(stores, name));
    const held = gate();
    const locked = gate();
    const other = stores.db.owner.begin(async (tx) => {
      await tx`select from work where shard = ${shard} and uid = any (${uids.slice(0, 2)}) for update`;
      locked.open();
      await held.opened;
    });
    await locked.opened;
    expect((await claimAs('me', 2)).map((one) => one.uid).sort()).toEqual(uids.slice(2).sort());
    held.open();
    await other;
    expect((await claimAs('me', 2)).map((one) => one.uid).sort()).toEqual(uids.slice(0, 2).sort());
  });
});

describe('fairness', () => {
  test('50,000 due rows of one tenant leave the single row of another in the very first claim', async () => {
    await seedRows(stores.db.owner, { workspace: 'acme', count: 50_000, dueMsAgo: 7_200_000 });
    const [other = ''] = neighbours(1);
    const lone = await declare(stores, 'one', { key: keyOf('one', 'Bucket', other) });
    const claims = await stores.engine.claim({ shard, holder: 'me', limit: 64, perWorkspaceMax: 32, leaseMs });
    expect(claims).toHaveLength(64);
    expect(claims.map((one) => one.uid)).toContain(lone);
  });

  test('tenants whose rows are all under way elsewhere do not hold up the backlog of another', async () => {
    const tenants = neighbours(63);
    for (const workspace of tenants) await seedRows(stores.db.owner, { workspace, count: 1, dueMsAgo: 5_000 });
    expect(await claimAs('other', 64)).toHaveLength(63);
    await seedRows(stores.db.owner, { workspace: 'acme', count: 100, dueMsAgo: 1_000 });
    const options = createOptions().engine;
    const claimer = createClaimer({
      store: stores.engine,
      holder: 'me',
      clock: systemClock,
      options,
      kinds: ['Bucket'],
    });
    claimer.note([shard]);
    const idle = { slots: () => options.slots, held: () => 0, ofShard: () => new Map<string, number>() };
    let claimed = 0;
    for (let batch = await claimer.next(idle); batch !== null; batch = await claimer.next(idle)) {
      claimed += batch.claimed.length;
    }
    expect(claimed).toBe(100);
  });

  test('half the slots at most go to one tenant while others can fill the rest', async () => {
    const [one = '', two = ''] = neighbours(2);
    await seedRows(stores.db.owner, { workspace: one, count: 200, dueMsAgo: 7_200_000 });
    await seedRows(stores.db.owner, { workspace: two, count: 200, dueMsAgo: 1_000 });
    const claims = await stores.engine.claim({ shard, holder: 'me', limit: 40, perWorkspaceMax: 20, leaseMs });
    const count = (workspace: string) => claims.filter((claim) => claim.workspace === workspace).length;
    expect([count(one), count(two)]).toEqual([20, 20]);
  });

  test('among many tenants those go first whose rows have waited longest', async () => {
    const tenants = neighbours(30);
    for (const [n, workspace] of tenants.entries()) {
      await seedRows(stores.db.owner, { workspace, count: 20, dueMsAgo: n * 1_000 });
    }
    const claims = await stores.engine.claim({ shard, holder: 'me', limit: 64, perWorkspaceMax: 32, leaseMs });
    expect(claims).toHaveLength(64);
    const oldest = new Set(tenants.slice(-10));
    expect(claims.filter((one) => !oldest.has(one.workspace))).toEqual([]);
  });
});

describe('a claim', () => {
  test('has a time that no clock of a worker takes part in, kept to the microsecond for its settle', async () => {
    const uid = await declare(stores, 'a');
    const [claimed] = await claimAll(stores);
    if (claimed === undefined) throw new Error('nothing was claimed');
    const exact = async (column: string) =>
      (await stores.db.owner.unsafe(`select ${column}::text as at from work where uid = '${uid}'`))[0]?.[
        'at'
      ] as string;
    const claimedAt = await exact('claimed_at');
    await stores.engine.settle(shard, [settleOf({ ...claimed, claimedAt: 1 }, { verified: true })]);
    expect(await exact('passed_at')).toBe(claimedAt);
    expect(await exact('verified_at')).toBe(claimedAt);
  });

  test('of nothing is nothing', async () => {
    expect(await claimAs('me', 0)).toEqual([]);
    expect(await claimAs('me', 5)).toEqual([]);
  });
});
