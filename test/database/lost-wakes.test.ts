import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { fireTopics } from '#controller/store/engine/fire-topics.ts';
import { settleChanged } from '#controller/store/engine/settle-changed.ts';
import { settleDoc, unchangedColumns } from '#controller/store/engine/settle-docs.ts';
import { settleUnchanged } from '#controller/store/engine/settle-unchanged.ts';
import { takeVersions } from '#controller/store/engine/take-versions.ts';
import { lockShard } from '#controller/store/queries/lock-shard.ts';
import type { Settle } from '#controller/store/rows.ts';
import type { Tx } from '#controller/store/sql-transaction.ts';
import {
  claim,
  declare,
  edit,
  insertOf,
  isDue,
  pass,
  settleOf,
  shard,
  statusOf,
  versionNow,
  workspace,
  write,
} from '#test/conformance/store-contract/fixture.ts';
import { topic } from '#resources/topic.ts';
import { createSqlStores, gate, sessionsWaiting, type SqlStores } from '#test/support/stores.ts';

// A topic fires at every point between a pass's read and its settle, by every writer, for every kind of settle: the row is due at once.

let stores: SqlStores;
beforeAll(async () => {
  stores = await createSqlStores();
});
afterAll(() => stores[Symbol.asyncDispose]());
beforeEach(() => stores.clear());

const name = topic.ref('Bucket', workspace, 'dependency');

/** How the listener's pass settles. `stored`: it listened before; the others begin to. */
const settles: Record<string, { stored: boolean; change: Partial<Settle> }> = {
  'begins to listen': { stored: false, change: { listeners: [name] } },
  'begins to listen, with a status': { stored: false, change: { listeners: [name], status: statusOf() } },
  'listened before and changes nothing': { stored: true, change: {} },
  'listened before and writes a status': { stored: true, change: { status: statusOf() } },
  'listened before and writes only facts': {
    stored: true,
    change: { recentActions: [{ digest: 'x', acknowledgedAt: 1, count: 1 }] },
  },
};

/** Who fires. Each is one transaction, given as its steps so that a test may stop between them. */
const firings: Record<string, () => Promise<unknown>> = {
  'a declaration': () => write(stores, [insertOf('dependency', { fires: [name] })]),
  'a settle': async () => {
    const uid = await declare(stores, 'other');
    await pass(stores, uid, { status: statusOf(), fires: [name] });
  },
  'the engine': () => stores.engine.fire(shard, [name], 0),
};

/** Points of time, as what is done around the firing. Answers once both have happened. */
const points: Record<string, (input: { settle: Settle; fire: () => Promise<unknown> }) => Promise<void>> = {
  'before the settle': async ({ settle, fire }) => {
    await fire();
    await stores.engine.settle(shard, [settle]);
  },
  'while the settle waits for the firing to commit': async ({ settle }) => {
    const [fired, commit] = [gate(), gate()];
    const firing = stores.sql.transaction('firing', async (tx) => {
      const version = (await takeVersions(tx, shard, 1))[0]?.version ?? 0;
      await fireTopics(tx, shard, version, [name], 0);
      fired.open();
      await commit.opened;
    });
    await fired.opened;
    const settling = stores.engine.settle(shard, [settle]);
    await sessionsWaiting(stores.db, 1);
    commit.open();
    await Promise.all([firing, settling]);
  },
  'while the settle is written and not yet committed': async ({ settle, fire }) => {
    const [written, commit] = [gate(), gate()];
    const settling = stores.sql.transaction('settling', async (tx) => {
      await writeSettle(tx, settle);
      written.open();
      await commit.opened;
    });
    await written.opened;
    const firing = fire();
    await sessionsWaiting(stores.db, 1);
    commit.open();
    await Promise.all([firing, settling]);
  },
  'after the settle': async ({ settle, fire }) => {
    await stores.engine.settle(shard, [settle]);
    await fire();
  },
};

/** What engine.settle writes, inside a transaction of the test. */
async function writeSettle(tx: Tx, settle: Settle): Promise<void> {
  if (settle.listeners === undefined && settle.status === undefined && settle.recentActions === undefined) {
    await settleUnchanged(tx, shard, ...unchangedColumns([settle]));
    return;
  }
  const versioned = settle.listeners !== undefined || settle.status !== undefined;
  const version = versioned ? ((await lockShard(tx, shard))[0]?.version ?? 0) : 0;
  await settleChanged(tx, shard, version, [settleDoc(settle)]);
}

/** A pass that has claimed and read, and is about to settle. */
async function passUnderWay(of: {
  stored: boolean;
  change: Partial<Settle>;
}): Promise<{ uid: string; settle: Settle }> {
  const uid = await declare(stores, 'listener');
  if (of.stored) await pass(stores, uid, { listeners: [name], dueInMs: 0 });
  const claimed = await claim(stores, uid);
  const readVersion = await versionNow(stores);
  return { uid, settle: settleOf(claimed, { readVersion, ...of.change }) };
}

const cases = Object.keys(points).flatMap((point) =>
  Object.keys(settles).flatMap((how) => Object.keys(firings).map((who) => [who, point, how] as const)),
);

describe('a topic fired between read and settle', () => {
  test.for(cases)('by %s, %s of a row that %s', async ([who, point, how]) => {
    const of = settles[how];
    const fire = firings[who];
    if (of === undefined || fire === undefined) throw new Error('no such case');
    const { uid, settle } = await passUnderWay(of);
    await points[point]?.({ settle, fire });
    expect(await isDue(stores, uid)).toBe(true);
  });
});

describe('an edit between read and settle', () => {
  test.for(['before the settle', 'while the settle is written and not yet committed', 'after the settle'])(
    '%s makes the row due at once',
    async (point) => {
      for (const of of Object.values(settles)) {
        await stores.clear();
        const { uid, settle } = await passUnderWay(of);
        await points[point]?.({ settle, fire: () => edit(stores, { uid, name: 'listener' }, { n: 1 }) });
        expect(await isDue(stores, uid)).toBe(true);
      }
    },
  );
});

describe('the controls', () => {
  test('a settle that does not say what its pass had read loses a firing before it', async () => {
    const { uid, settle } = await passUnderWay({ stored: false, change: { listeners: [name] } });
    await stores.engine.fire(shard, [name], 0);
    await stores.engine.settle(shard, [{ ...settle, readVersion: Number.MAX_SAFE_INTEGER }]);
    expect(await isDue(stores, uid)).toBe(false);
  });

  test('a settle that does not compare wake_seq loses a firing that found its listener', async () => {
    const { uid, settle } = await passUnderWay({ stored: true, change: {} });
    await stores.engine.fire(shard, [name], 0);
    await stores.engine.settle(shard, [{ ...settle, wakeSeq: settle.wakeSeq + 1 }]);
    expect(await isDue(stores, uid)).toBe(false);
  });

  test('a settle that begins to listen without the lock of the shard loses a firing at the same time', async () => {
    const { uid, settle } = await passUnderWay({ stored: false, change: { listeners: [name] } });
    const [fired, commit] = [gate(), gate()];
    const firing = stores.sql.transaction('firing', async (tx) => {
      const version = (await takeVersions(tx, shard, 1))[0]?.version ?? 0;
      await fireTopics(tx, shard, version, [name], 0);
      fired.open();
      await commit.opened;
    });
    await fired.opened;
    await settleChanged(stores.sql, shard, 0, [settleDoc(settle)]);
    commit.open();
    await firing;
    expect(await isDue(stores, uid)).toBe(false);
  });
});

describe('a parked row', () => {
  const parkedOn = { provider: 'gcs', account: 'p1' };
  const open = topic.provider('gcs', 'p1');

  test.for(['before the settle', 'while the settle is written and not yet committed', 'after the settle'])(
    'is due at once when its provider comes back %s',
    async (point) => {
      for (const change of [{ listeners: [open], parkedOn }, { parkedOn }]) {
        await stores.clear();
        await stores.providers.report({ ...parkedOn, outcome: 'unavailable', opensAt: 1, wakePerSecond: 50 });
        const uid = await declare(stores, 'parked');
        if (!('listeners' in change)) await pass(stores, uid, { listeners: [open], dueInMs: 0 });
        const settle = settleOf(await claim(stores, uid), { readVersion: await versionNow(stores), ...change });
        const fire = async () => {
          await stores.providers.report({ ...parkedOn, outcome: 'ok', opensAt: 1, wakePerSecond: 50 });
          await stores.engine.fire(shard, [open], 0);
        };
        await points[point]?.({ settle, fire });
        expect(await isDue(stores, uid)).toBe(true);
      }
    },
  );
});
