import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { claimRows } from '#controller/store/engine/claim-rows.ts';
import { readRows } from '#controller/store/engine/read-rows.ts';
import {
  declare,
  edit,
  insertOf,
  leaseMs,
  read,
  settleOf,
  shard,
  statusOf,
  write,
} from '#test/conformance/store-contract/fixture.ts';
import { onCitus } from '#test/support/postgres.ts';
import { createSqlStores, gate, sessionsWaiting, type SqlStores } from '#test/support/stores.ts';

// E4: the claim and the read are two statements. No edit is lost, however it falls between them and the settle.

let stores: SqlStores;
beforeAll(async () => {
  stores = await createSqlStores({ max: 6 });
});
afterAll(() => stores[Symbol.asyncDispose]());
beforeEach(() => stores.clear());

/** One round of a worker: claim, read, settle with what was read. Answers how many rows it passed. */
async function round(holder: string): Promise<number> {
  const claims = await stores.engine.claim({ shard, holder, limit: 4, perWorkspaceMax: 4, leaseMs });
  const { version, rows } = await stores.engine.readRows(
    shard,
    claims.map((one) => one.uid),
  );
  const settles = claims.flatMap((one) => {
    const found = rows.find(({ row }) => row.uid === one.uid);
    if (found === undefined) return [];
    const { generation, spec } = found.row;
    const status = statusOf({ status: { seen: spec['n'] ?? null }, observedGeneration: generation });
    return [settleOf(one, { holder, generation, readVersion: version, status })];
  });
  await stores.engine.settle(shard, settles);
  return claims.length;
}

describe('edits', () => {
  test('by 8 writers under 4 busy workers all arrive: 0 lost', { timeout: 60_000 }, async () => {
    const rows = Array.from({ length: 16 }, (_, n) => ({ ...insertOf(`row-${n}`), name: `row-${n}` }));
    await write(stores, rows);
    // All of one shard, one after the other: a transaction of a cluster takes ten times as long.
    const editsEach = onCitus() ? 15 : 150;
    const under = { way: 8 };
    const writer = async (n: number): Promise<void> => {
      for (let edits = 0; edits < editsEach; edits += 1) {
        const row = rows[(n + edits * 7) % rows.length];
        if (row !== undefined) await edit(stores, row, { n: `${n}/${edits}` });
      }
      under.way -= 1;
    };
    let passes = 0;
    const worker = async (holder: string): Promise<void> => {
      while (under.way > 0) passes += await round(holder);
    };
    await Promise.all([
      ...Array.from({ length: 8 }, (_, n) => writer(n)),
      ...['a', 'b', 'c', 'd'].map((holder) => worker(holder)),
    ]);
    for (let left = 1; left > 0;) left = await round('last');

    expect(passes).toBeGreaterThan(editsEach);
    const stored = await stores.db.owner<{ generation: string; observed: string; same: boolean }[]>`
      select generation, observed_generation as observed, spec->'n' = status->'seen' as same from resources`;
    expect(stored.reduce((sum, row) => sum + Number(row.generation) - 1, 0)).toBe(8 * editsEach);
    expect(stored.filter((row) => row.generation !== row.observed || !row.same)).toEqual([]);
  });
});

describe('an edit that commits after the snapshot and before the lock of a claim', () => {
  const gateKey = 71;

  /** Runs `query` so that it stands still after its snapshot was taken until the edit has committed. */
  async function acrossAnEdit(query: string, uid: string): Promise<readonly Record<string, unknown>[]> {
    const [held, edited] = [gate(), gate()];
    const holding = stores.db.owner.begin(async (tx) => {
      await tx`select pg_advisory_xact_lock(${gateKey})`;
      held.open();
      await edited.opened;
    });
    await held.opened;
    const answer = stores.db.owner.unsafe(query);
    const rows = answer.then((found) => found as readonly Record<string, unknown>[]);
    await sessionsWaiting(stores.db, 1);
    await edit(stores, { uid, name: 'a' }, { n: 'new' });
    edited.open();
    await holding;
    return await rows;
  }

  const noGate = 'the gate is a volatile function inside a statement, which Citus does not take';
  const still = `gate as materialized (select pg_advisory_xact_lock_shared(${gateKey}))`;
  const picked = (columns: string, join: string): string => `
    with ${still},
    picked as materialized (
      select ${columns} from gate, work w ${join} where w.shard = ${shard} and w.due_at <= statement_timestamp()
      for update of w skip locked
    )`;

  test('is lost by a claim joined with the row: the control', async ({ skip }) => {
    if (onCitus()) return skip(noGate);
    const uid = await declare(stores, 'a', { spec: { n: 'old' } });
    const joined = picked('w.uid, r.spec', 'join resources r using (shard, uid)');
    const [row] = await acrossAnEdit(
      `${joined} update work w set epoch = epoch + 1, holder = 'c', lease_until = statement_timestamp()
       from picked p where w.uid = p.uid returning w.wake_seq, p.spec`,
      uid,
    );
    // The counter is the new one, so the settle would see nothing moved; the spec is the old one, so the edit would never be applied.
    expect(Number(row?.['wake_seq'])).toBe((await read(stores, uid)).work.wakeSeq);
    expect(row?.['spec']).toEqual({ n: 'old' });
  });

  test('is seen by the read that follows a claim of keys', async ({ skip }) => {
    if (onCitus()) return skip(noGate);
    const uid = await declare(stores, 'a', { spec: { n: 'old' } });
    const [row] = await acrossAnEdit(
      `${picked('w.uid', '')} update work w set epoch = epoch + 1, holder = 'c', lease_until = statement_timestamp()
       from picked p where w.uid = p.uid returning w.wake_seq`,
      uid,
    );
    const [fresh] = await readRows(stores.sql, shard, [uid]);
    expect(Number(row?.['wake_seq'])).toBe(fresh?.wake_seq);
    expect(fresh?.spec).toEqual({ n: 'new' });
  });

  test('never comes with its row from the claim itself', () => {
    expect(claimRows.statement.text).not.toMatch(/\b(resources|spec|generation)\b/);
  });
});
