import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSqlReplayStore } from '#controller/store/sql-replay-store.ts';
import type { ReplayStore } from '#controller/store/replay-store.ts';
import { declarerOf, said } from '#test/simulation/engine-bench.ts';
import { crate, parcel } from '#test/support/process/depot-kinds.ts';
import { createSite, shortOptions } from '#test/support/process/site.ts';
import type { Site, Worker } from '#test/support/process/site.ts';
import { leaseChanges } from '#test/support/process/work-log.ts';
import { until } from '#test/support/up.ts';

/**
 * Two builds on one store, as during a roll-out: the older one does not know the kind Parcel, and has a bug. (A real older commit of
 * this repository beside this one: older-commit.test.ts, by command.)
 */
const older = { kinds: ['Crate'], buildId: 'older', buggy: true } as const;
const options = {
  ...shortOptions,
  gateway: { ...shortOptions.gateway, probeEveryMs: 200, refreshEveryMs: 100 },
  replay: { leaseMs: 1_000 },
};

let site: Site;
let declare: ReturnType<typeof declarerOf>;
let replays: ReplayStore;
beforeAll(async () => {
  site = await createSite();
  declare = declarerOf(site.resources);
  replays = createSqlReplayStore({ sql: site.db.sql('vibn_platform'), signals: { signal: () => undefined } });
});
afterAll(() => site[Symbol.asyncDispose]());

async function gone(worker: Worker): Promise<void> {
  worker.signal('SIGTERM');
  expect(await worker.exited).toBe(0);
  expect(worker.stderr()).not.toMatch(/"level":"error"/);
}

const readyOf = async (kind: typeof crate | typeof parcel, name: string): Promise<string | undefined> =>
  said(await declare.read(kind, name))['Ready'];

const claimedBy = async (app: string): Promise<ReadonlySet<string>> => {
  const changes = await leaseChanges(site.db.owner);
  return new Set(changes.filter((one) => one.app === app && one.newEpoch > one.oldEpoch).map((one) => one.uid));
};

describe('an older build', () => {
  test('leaves rows of kinds that it does not know to the build that knows them', async () => {
    const old = await site.worker('old-1', { ...older, options });
    for (const n of [1, 2, 3]) await declare.apply(parcel, `p${n}`, {});
    for (const n of [1, 2, 3]) await declare.apply(crate, `c${n}`, {});
    await until(async () => ((await readyOf(crate, 'c3')) === 'True/Available' ? true : null));
    expect(site.depot.parcels).toEqual([]);
    const newest = await site.worker('new-1', { options });
    await site.settled();
    await Promise.all([gone(old), gone(newest)]);
    expect([...(await claimedBy('old-1'))].filter((uid) => uid.startsWith('Parcel'))).toEqual([]);
    expect(site.depot.parcels.length).toBe(3);
  });

  test('tries an open breaker with a row that it knows, though rows that it does not know wait longer', async () => {
    site.depot.beforeCall = () => Promise.reject(new Error('the depot is away'));
    const newest = await site.worker('new-2', { options });
    for (const n of [4, 5, 6, 7]) await declare.apply(parcel, `p${n}`, {});
    for (const n of [4, 5, 6, 7]) await declare.apply(crate, `c${n}`, {});
    await until(async () => {
      const waiting = await site.db.owner`
        select kind from listeners join resources using (shard, uid) where topic = 'provider:depot/yard' group by kind`;
      return waiting.length === 2 ? true : null;
    });
    await gone(newest);
    const old = await site.worker('old-2', { ...older, options });
    site.depot.beforeCall = () => undefined;
    await until(async () => ((await readyOf(crate, 'c7')) === 'True/Available' ? true : null), 10_000);
    expect([...(await claimedBy('old-2'))].filter((uid) => uid.startsWith('Parcel'))).toEqual([]);
    const again = await site.worker('new-3', { options });
    await site.settled();
    await Promise.all([gone(old), gone(again)]);
    expect(site.depot.parcels.length).toBe(7);
  });

  test('leads a replay of rows that it does not know; it ends when a build has come that knows them', async () => {
    const old = await site.worker('old-3', { ...older, options });
    await declare.apply(parcel, 'p8', {});
    const made = await replays.create({
      id: crypto.randomUUID(),
      selector: { workspace: 'acme' },
      ratePerSecond: 500,
      createdBy: 'test',
    });
    await until(async () => {
      const replay = await replays.get(made.id);
      return replay?.state === 'running' && replay.waiting === 0 && replay.asked === 8 ? true : null;
    });
    const sentBefore = site.depot.parcels.length;
    const newest = await site.worker('new-4', { options });
    await until(async () => ((await replays.get(made.id))?.state === 'done' ? true : null));
    await site.settled();
    await Promise.all([gone(old), gone(newest)]);
    // Only the parcel that was new: those sent before are never sent again.
    expect(site.depot.parcels.length - sentBefore).toBe(1);
    const { total, done } = (await replays.get(made.id)) ?? { total: 0, done: 0 };
    expect([total, done]).toEqual([16, 16]);
  });

  test('has its bug healed by the first start of a build that has it no more, also beside it', async () => {
    const old = await site.worker('old-4', { ...older, options });
    await declare.apply(crate, 'trips', { text: 'boom' });
    await until(async () =>
      said(await declare.read(crate, 'trips'))['Stalled'] === 'True/InternalError' ? true : null,
    );
    // Beside the new one it may take the woken row itself, and fail again.
    const tasks = { engineAgainMs: 200, engineAgainTimes: 40 };
    const fixed = await site.worker('new-5', { options: { ...options, tasks }, buildId: 'fixed' });
    // Parked for 10 min, but for the topic `engine`.
    await until(async () => ((await readyOf(crate, 'trips')) === 'True/Available' ? true : null), 10_000);
    old.signal('SIGTERM');
    expect(await old.exited).toBe(0);
    await gone(fixed);
  });

  test('works on a newer schema: every table grows columns while it works', async () => {
    const workers = [await site.worker('old-5', { ...older, options }), await site.worker('new-6', { options })];
    const tables = await site.db.owner<{ name: string }[]>`
      select table_name as name from information_schema.tables
      where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> 'lease_changes' order by 1`;
    expect(tables.length).toBeGreaterThan(20);
    for (const [n, { name }] of tables.entries()) {
      await declare.apply(crate, `later-${n}`, {});
      await site.db.owner.unsafe(
        `alter table ${name} add column later_text text, add column later_count int not null default 1`,
      );
      await declare.apply(crate, `later-${n}`, { text: 'changed' });
      await declare.apply(parcel, `later-${n}`, {});
      if (n % 5 === 4) await declare.remove(crate, `later-${n - 1}`);
    }
    await site.settled();
    await Promise.all(workers.map(gone));
    expect(workers.map((worker) => worker.stderr())).toEqual(['', '']);
    expect([...site.depot.done()].filter(([what, times]) => /^(create|send)/.test(what) && times > 1)).toEqual([]);
  });

  test('takes nothing away that a row needs whose kind it does not know', async () => {
    const old = await site.worker('old-6', { ...older, options });
    for (const name of ['needed', 'free']) {
      await declare.apply(crate, name, {});
      await until(async () => ((await readyOf(crate, name)) === 'True/Available' ? true : null));
    }
    await declare.apply(parcel, 'user', { crate: 'needed' });
    for (const name of ['needed', 'free']) await declare.remove(crate, name);
    const standing = async () =>
      (await site.db.owner`select name from resources where name in ('needed', 'free')`).length;
    await until(async () => ((await standing()) === 1 ? true : null));
    await until(async () =>
      said(await declare.read(crate, 'needed'))['DeletionBlocked'] === 'True/HasDependents' ? true : null,
    );
    expect(['needed', 'free'].map((name) => site.depot.crates.has(`acme-${name}`))).toEqual([true, false]);
    const newest = await site.worker('new-6', { options });
    await declare.remove(parcel, 'user');
    await until(async () => ((await standing()) === 0 ? true : null), 10_000);
    await Promise.all([gone(old), gone(newest)]);
  });
});
