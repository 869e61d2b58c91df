import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { claimRows } from '#controller/store/engine/claim-rows.ts';
import type { EngineStore } from '#controller/store/engine-store.ts';
import { shardOf } from '#resources/shard.ts';
import { leaseMs, settleOf } from '#test/conformance/store-contract/fixture.ts';
import { seedRows } from '#test/support/seed-rows.ts';
import { createSqlStores, gate, type SqlStores } from '#test/support/stores.ts';

// What a claim costs while somebody holds an old snapshot (a forgotten transaction, a dump), so that no vacuum may take away what claims
// and settles leave behind: 10,000 rows claimed and settled again and again. Costs are pages that the claim looks at, which do not depend
// on what else the machine does; times are printed.
//
//   VIBN_BLOAT_UPDATES=200000 vitest run --project database test/database/bloat    in full, a minute or two; a sample is 12,000
//
// The rows are of 16 shards, as in the benches: dead entries are passed by the claims of their own shard. With VIBN_BLOAT_SHARDS=1 all are
// of one tenant: then the first claim of each second costs more than the figure (it looks at everything), those that go on do not.

const updatesMax = Number(process.env['VIBN_BLOAT_UPDATES'] ?? 12_000);
const shards = Number(process.env['VIBN_BLOAT_SHARDS'] ?? 16);
const rows = 10_000;
const limit = 128;
const holder = 'bloat';

/** Workspaces, one in each shard. */
const workspaces = Array.from(
  new Map(Array.from({ length: 1_000 }, (_, n) => [shardOf(`bloat${n}`), `bloat${n}`] as const)).values(),
).slice(0, shards);

let stores: SqlStores;
beforeAll(async () => {
  stores = await createSqlStores();
  for (const workspace of workspaces) {
    await seedRows(stores.db.owner, { workspace, count: rows / workspaces.length, dueMsAgo: 60_000 });
  }
  await stores.db.owner.unsafe('vacuum analyze work');
});
afterAll(() => stores[Symbol.asyncDispose]());

/** Claims and settles all of a shard's turn; what was settled is due again at once. Answers how long the claim took, in ms. */
async function turn(engine: EngineStore, shard: number): Promise<number> {
  const begun = performance.now();
  const claims = await engine.claim({ shard, holder, limit, perWorkspaceMax: limit, leaseMs });
  const tookMs = performance.now() - begun;
  const settles = claims.map((claim) => settleOf({ ...claim }, { holder, dueInMs: 0, priority: 'replay' }));
  await engine.settle(shard, settles);
  return tookMs;
}

/** Turns of all shards, until so many rows were updated: once by the claim, once by the settle. */
async function churn(updates: number): Promise<readonly number[]> {
  const times: number[] = [];
  for (let done = 0; done < updates; done += workspaces.length * limit * 2) {
    for (const workspace of workspaces) times.push(await turn(stores.engine, shardOf(workspace)));
  }
  return times;
}

/** Pages that a claim in each shard looks at, of all rows or as one that goes on with the shard; nothing is claimed. */
async function pagesOfClaims(how: 'all' | 'going on' = 'all'): Promise<readonly number[]> {
  const pages: number[] = [];
  const [owner] = [stores.db.owner];
  for (const workspace of workspaces) {
    const undone = owner.begin(async (tx) => {
      await tx.unsafe('set local plan_cache_mode = force_generic_plan');
      await tx.unsafe(`prepare claim as ${claimRows.statement.text}`);
      const [first] = await tx`select min(due_at)::text as at from work where shard = ${shardOf(workspace)}`;
      const from = how === 'all' ? 'null' : `'${String(first?.['at'])}'`;
      const args = [shardOf(workspace), `'${holder}'`, limit, limit, leaseMs, `'{Bucket}'`, from].join(', ');
      const [row] = await tx.unsafe(`explain (analyze, buffers, timing off, format json) execute claim(${args})`);
      await tx.unsafe('deallocate claim');
      const plan = (row?.['QUERY PLAN'] as readonly { Plan: Costs }[] | undefined)?.[0]?.Plan;
      if (plan === undefined) throw new Error('nothing was explained');
      pages.push(plan['Shared Hit Blocks'] + plan['Shared Read Blocks']);
      throw new Undone();
    });
    await undone.catch((error: unknown) => {
      if (!(error instanceof Undone)) throw error;
    });
  }
  return pages;
}

class Undone extends Error {}
interface Costs {
  readonly 'Shared Hit Blocks': number;
  readonly 'Shared Read Blocks': number;
}

const most = (values: readonly number[]): number => Math.max(...values);
const p99 = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? 0;

describe('10,000 rows under a pinned snapshot', () => {
  test(`cost a claim at most five times as much after ${updatesMax} updates, and no more than before once it is gone`, async () => {
    const timesBefore = await churn(10_000);
    await stores.db.owner.unsafe('vacuum work');
    const before = most(await pagesOfClaims());

    const pinned = gate();
    const over = gate();
    const snapshot = stores.db.owner.begin('isolation level repeatable read', async (tx) => {
      await tx`select count(*) from work`;
      pinned.open();
      await over.opened;
    });
    await pinned.opened;
    const timesUnder = await churn(updatesMax);
    const under = most(await pagesOfClaims());
    // Past what the claims that were explained and undone have left behind.
    await churn(1);
    const goingOn = most(await pagesOfClaims('going on'));
    over.open();
    await snapshot;
    await stores.db.owner.unsafe('vacuum work');
    const after = most(await pagesOfClaims());

    console.log(
      `pages of a claim of ${limit}: ${before} before, ${under} after ${updatesMax} updates under a pinned snapshot (${(under / before).toFixed(1)} times), ${goingOn} of one that goes on, ${after} after vacuum; ` +
        `claims p99 ${p99(timesBefore).toFixed(1)} ms before, ${p99(timesUnder).toFixed(1)} ms under (last tenth ${p99(timesUnder.slice(-timesUnder.length / 10)).toFixed(1)} ms)`,
    );
    if (workspaces.length > 1) expect(under).toBeLessThanOrEqual(5 * before);
    expect(goingOn).toBeLessThanOrEqual(5 * before);
    expect(after).toBeLessThanOrEqual(1.5 * before);
  }, 300_000);
});
