import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CommitUnknown } from '#controller/store/sql-errors.ts';
import { createSqlAdminStore } from '#controller/store/sql-admin-store.ts';
import type { AdminStore } from '#controller/store/admin-store.ts';
import type { AuditEntry } from '#controller/store/recording.ts';
import type { Claim } from '#controller/store/rows.ts';
import {
  claim,
  declare,
  edit,
  fenceOf,
  holder,
  insertOf,
  leaseMs,
  remove,
  settleOf,
  shard,
  statusOf,
  versionNow,
  write,
} from '#test/conformance/store-contract/fixture.ts';
import { allStatements } from '#test/support/statement-registry.ts';
import { statementProxy } from '#test/support/statement-proxy.ts';
import type { StatementProxy } from '#test/support/statement-proxy.ts';
import { createSqlStores, type SqlStores } from '#test/support/stores.ts';
import { urlThrough } from '#test/support/urls.ts';

/**
 * Every transaction, and every statement that writes by itself, is carried out and its answer lost, at each of its steps in turn: BEGIN,
 * each statement, COMMIT. What callers then do (ask again; for a send: take it back) leaves its effect exactly once.
 */
let proxy: StatementProxy;
let stores: SqlStores;
let admin: AdminStore;
beforeAll(async () => {
  stores = await createSqlStores({
    through: async (db) => {
      proxy = await statementProxy(db.ownerUrl);
      return (url) => urlThrough(proxy, url);
    },
  });
  const pool = (role: 'vibn_api' | 'vibn_platform' | 'vibn_controller') =>
    stores.db.sql(role, { max: 4, url: urlThrough(proxy, stores.db.urlOf(role)) });
  admin = createSqlAdminStore({
    api: pool('vibn_api'),
    platform: pool('vibn_platform'),
    controller: pool('vibn_controller'),
  });
});
afterAll(async () => {
  await stores[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
});

const auditEntry: AuditEntry = {
  actor: 'key1',
  lineage: 'lin1',
  procedure: '',
  outcome: 'ok',
  target: '',
  bodyDigest: 'd',
  traceId: 't',
};

interface Case<Given> {
  readonly prepare: () => Promise<Given>;
  /** As its caller in the product does it. */
  readonly act: (given: Given) => Promise<unknown>;
  /** What it came to, in counts. */
  readonly effect: (given: Given) => Promise<unknown>;
}

const count = async (text: string, ...params: readonly string[]): Promise<number> => {
  const [row] = await stores.db.owner.unsafe(`select count(*)::int as n from ${text}`, [...params]);
  return Number(row?.['n']);
};

/** Asks until it is answered. */
async function insisting<T>(act: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof CommitUnknown)) throw error;
    }
  }
}

/** Asks once, and lets it be if it is not answered. */
async function once(act: () => Promise<unknown>): Promise<void> {
  await act().catch((error: unknown) => {
    if (!(error instanceof CommitUnknown)) throw error;
  });
}

let names = 0;
const fresh = (): string => `n${(names += 1)}`;
const declared = async (): Promise<{ uid: string; name: string }> => {
  const name = fresh();
  return { uid: await declare(stores, name), name };
};
const claimed = async (): Promise<Claim> => claim(stores, (await declared()).uid);
const deletedAndClaimed = async (): Promise<Claim> => {
  const row = await declared();
  await remove(stores, row);
  return claim(stores, row.uid);
};
const generationOf = async (uid: string) =>
  (
    await stores.db.owner`select generation::int as g, deleted_at is not null as gone from resources where uid = ${uid}`
  )[0];
const workOf = async (uid: string) =>
  (
    await stores.db.owner`
      select epoch::int as epoch, holder, incarnation::int as incarnation, passed_at is not null as passed
      from work where uid = ${uid}`
  )[0];
const intentsOf = async (uid: string) =>
  await stores.db.owner`select state, attempt::int as attempt from intents where uid = ${uid} order by attempt`;
const announced = async (): Promise<Claim> => {
  const one = await claimed();
  await stores.engine.announce(fenceOf(one), { effect: 'create:1', nonce: one.uid, args: {} });
  return one;
};
const sending = async (): Promise<Claim> => {
  const one = await announced();
  await stores.engine.markSending(fenceOf(one), one.uid, 1_000);
  return one;
};

function caseOf<Given>(one: Case<Given>): Case<unknown> {
  return one as Case<unknown>;
}

const cases: Readonly<Record<string, Case<unknown>>> = {
  'a declaration': caseOf({
    prepare: async () => insertOf(fresh()),
    act: (insert) => write(stores, [insert]),
    effect: async ({ uid }) => [await generationOf(uid), await count('revisions where uid = $1', uid)],
  }),
  'an edit': caseOf({
    prepare: declared,
    act: (row) => edit(stores, row, { versioning: true }),
    effect: async ({ uid }) => [await generationOf(uid), await count('revisions where uid = $1', uid)],
  }),
  'a deletion': caseOf({
    prepare: declared,
    act: (row) => remove(stores, row),
    effect: async ({ uid }) => [await generationOf(uid), await count('revisions where uid = $1', uid)],
  }),
  'an audit entry': caseOf({
    prepare: async () => fresh(),
    act: (op) => insisting(() => admin.audit('platform', 'acme', { ...auditEntry, procedure: op })),
    effect: (op) => count('audit_log where procedure = $1', op),
  }),
  'a claim': caseOf({
    prepare: declared,
    // Nobody hears of it: its lease lapses, and the row is claimed again.
    act: async ({ uid }) => {
      await once(() => stores.engine.claim({ shard, holder, limit: 1_000, perWorkspaceMax: 1_000, leaseMs }));
      await insisting(async () => {
        await stores.elapse(leaseMs);
        await claim(stores, uid, 'worker-b');
      });
    },
    effect: async ({ uid }) => (await workOf(uid))?.['holder'],
  }),
  'a settle that changed nothing': caseOf({
    prepare: claimed,
    act: (one) => insisting(() => stores.engine.settle(shard, [settleOf(one)])),
    effect: ({ uid }) => workOf(uid),
  }),
  'a settle with status, journal and firings': caseOf({
    prepare: claimed,
    act: async (one) => {
      const settle = settleOf(one, { status: statusOf(), fires: ['funds:acme'], listeners: ['quota:acme'] });
      await insisting(() => stores.engine.settle(shard, [settle]));
    },
    effect: async ({ uid }) => [await workOf(uid), await count('listeners where uid = $1', uid)],
  }),
  'the removal of a row': caseOf({
    prepare: deletedAndClaimed,
    act: (one) =>
      insisting(() =>
        stores.engine.settleRemoval({
          settle: settleOf(one, { generation: 2 }),
          retained: [],
          claim: null,
          unrelatedKinds: [],
          needs: () => false,
        }),
      ),
    effect: async ({ uid }) => [
      await count('resources where uid = $1', uid),
      await count('tombstones where uid = $1', uid),
    ],
  }),
  'the declaration of children': caseOf({
    prepare: async () => ({ owner: await claimed(), child: fresh() }),
    act: async ({ owner, child }) => {
      const settle = settleOf(owner, { status: statusOf(), readVersion: await versionNow(stores) });
      const slot = { uid: owner.uid, slot: 's' };
      const decide = () => [insertOf(child, { owner: slot })];
      await insisting(() => stores.engine.settleDeclare({ settle, reads: [], follow: () => [], decide }));
    },
    effect: async ({ owner, child }) => [
      await workOf(owner.uid),
      await count('resources where owner_uid = $1 and name = $2', owner.uid, child),
    ],
  }),
  'the announcement of an intent': caseOf({
    prepare: claimed,
    act: (one) =>
      insisting(() => stores.engine.announce(fenceOf(one), { effect: 'create:1', nonce: one.uid, args: { a: 1 } })),
    effect: ({ uid }) => intentsOf(uid),
  }),
  'the beginning of a send': caseOf({
    prepare: announced,
    // Unanswered, nothing is sent and the attempt is taken back, whatever became of it; answered, it is taken back all the same here.
    act: async (one) => {
      await once(() => stores.engine.markSending(fenceOf(one), one.uid, 1_000));
      await stores.engine.retire({ shard, uid: one.uid, nonce: one.uid });
    },
    effect: ({ uid }) => intentsOf(uid),
  }),
  'the answer of a send': caseOf({
    prepare: sending,
    act: ({ uid }) =>
      insisting(() => stores.engine.answer({ shard, uid, nonce: uid, state: 'done', result: { id: 1 } })),
    effect: ({ uid }) => intentsOf(uid),
  }),
  'the beginning of a destruction': caseOf({
    prepare: deletedAndClaimed,
    act: (one) => insisting(() => stores.engine.beginFinalizing(fenceOf(one), { generation: 2, destroysData: false })),
    effect: ({ uid }) => count('resources where uid = $1 and finalizing_at is not null', uid),
  }),
  'the taking of a name': caseOf({
    prepare: async () => fresh(),
    act: (externalName) =>
      insisting(() => stores.engine.takeClaim({ kind: 'Bucket', externalName, workspace: 'acme', uid: externalName })),
    effect: (name) => count('claims where external_name = $1 and uid = $1', name),
  }),
  'the giving back of a row': caseOf({
    prepare: claimed,
    act: (one) => insisting(() => stores.engine.release([fenceOf(one)])),
    effect: ({ uid }) => workOf(uid),
  }),
  'the making of a replay': caseOf({
    prepare: async () => fresh(),
    act: (id) =>
      insisting(() => stores.replays.create({ id, selector: {}, ratePerSecond: 1, createdBy: 'l', requestId: id })),
    effect: (id) => count('replays where request_id = $1', id),
  }),
};

/** The names of what is asked, in order; with `cut`, the answer to that one is lost. */
async function run(act: () => Promise<unknown>, cut: number | null): Promise<readonly string[]> {
  const known = await allStatements();
  const asked: string[] = [];
  proxy.decide = (name) => {
    if (!known.has(name) && name !== 'begin' && name !== 'commit') return null;
    if (name === 'end_stuck_sessions') return null;
    asked.push(name);
    return asked.length - 1 === cut ? { how: 'unanswered', code: '08006' } : null;
  };
  try {
    await act();
  } finally {
    proxy.decide = () => null;
  }
  return asked;
}

describe('a lost answer', () => {
  test.for(Object.keys(cases))('to any step of %s leaves it done once', async (name) => {
    const one = cases[name];
    if (one === undefined) throw new Error('no such case');
    const given = await one.prepare();
    const asked = await run(() => one.act(given), null);
    const effect = await one.effect(given);
    for (const [step, statement] of asked.entries()) {
      const again = await one.prepare();
      await run(() => one.act(again), step);
      expect(await one.effect(again), `lost: ${statement} (${step})`).toEqual(effect);
    }
    expect(asked.length).toBeGreaterThan(0);
  });

  test('leaves the audit chain whole', async () => {
    const links = await stores.db.owner<{ seq: number }[]>`
      select seq::int as seq from audit_log where workspace = 'acme' order by seq`;
    expect(links.map((link) => link.seq)).toEqual(links.map((_, index) => index + 1));
  });
});
