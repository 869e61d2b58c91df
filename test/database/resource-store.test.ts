import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { brokenAt, type AuditLink } from '#controller/store/audit-chain.ts';
import type { ResourceStore } from '#controller/store/resource-store.ts';
import { createSqlResourceStore } from '#controller/store/sql-resource-store.ts';
import { keyText } from '#resources/reference.ts';
import { shardOf } from '#resources/shard.ts';
import { makeAudit } from '#test/support/audit.ts';
import { createDatabase, type TestDatabase } from '#test/support/postgres.ts';
import { bucketKey, insertOf, mutationOf, someone, updateOf } from '#test/support/rows.ts';

const acme = { workspace: 'acme' } as const;
const shard = shardOf('acme');

let db: TestDatabase;
let store: ResourceStore;
let signalled: number[] = [];

beforeAll(async () => {
  db = await createDatabase();
  const signals = { signal: (shards: readonly number[]) => void signalled.push(...shards) };
  store = createSqlResourceStore({ api: db.sql('vibn_api'), platform: db.sql('vibn_platform'), signals });
});
afterAll(() => db[Symbol.asyncDispose]());
beforeEach(async () => {
  signalled = [];
  await db.owner`truncate resources, work, revisions, requests, topics, listeners, tombstones, plans, intents, audit_log, decisions`;
});

const versionOf = async (): Promise<number> =>
  Number((await db.owner`select version from shards where shard = ${shard}`)[0]?.['version']);

async function declare(name: string, more: Parameters<typeof insertOf>[1] = {}) {
  const write = insertOf(bucketKey(name), more);
  await store.mutate(mutationOf(acme, () => [write]));
  return write;
}

describe('a mutation', () => {
  test('answers the rows as a fresh read shows them', async () => {
    const first = insertOf(bucketKey('one'), {
      labels: { team: 'web' },
      spec: { a: 'ü🙂' },
      fires: ['ref:Bucket/acme/one'],
    });
    const outcome = await store.mutate(mutationOf(acme, () => [first, insertOf(bucketKey('two'))]));
    expect(outcome.results).toEqual(outcome.views.map(({ row }) => ({ uid: row.uid, generation: 1 })));
    const fresh = await store.getByUid(
      acme,
      'acme',
      outcome.results.map((result) => result.uid),
    );
    expect(fresh.map((view) => view.row).toSorted((a, b) => a.version - b.version)).toEqual(
      outcome.views.map((view) => view.row),
    );

    const key = bucketKey('one');
    const changed = await store.mutate(
      mutationOf(acme, () => [updateOf(first.uid, key, { spec: { a: 'b' } })], { reads: [key] }),
    );
    expect(changed.views[0]?.row).toEqual((await store.get(acme, key))?.row);
    expect(changed.results).toEqual([{ uid: first.uid, generation: 2 }]);
    expect(signalled).toEqual([shard, shard]);
  });

  test('gives every row a version of its own, in the order of the writes', async () => {
    const before = await versionOf();
    const { views } = await store.mutate(
      mutationOf(acme, () => ['c', 'a', 'b'].map((name) => insertOf(bucketKey(name)))),
    );
    expect(views.map((view) => view.row.version)).toEqual([before + 1, before + 2, before + 3]);
    expect(await versionOf()).toBe(before + 3);
  });

  test('that decides nothing writes nothing and signals nobody', async () => {
    const before = await versionOf();
    const outcome = await store.mutate(mutationOf(acme, () => []));
    expect(outcome.results).toEqual([]);
    expect(await versionOf()).toBe(before);
    expect(signalled).toEqual([]);
  });

  test('that refuses throws what decide threw, and writes nothing', async () => {
    const before = await versionOf();
    const refusal = new Error('refused');
    const refused = store.mutate(
      mutationOf(acme, () => {
        throw refusal;
      }),
    );
    await expect(refused).rejects.toBe(refusal);
    expect(await versionOf()).toBe(before);
    // The session was given back in order: more than the pool holds go through.
    await Promise.all(Array.from({ length: 12 }, (_, index) => declare(`after${index}`)));
  });

  test('reads what was asked for and what that leads to', async () => {
    await declare('a', { spec: { next: 'b' } });
    await declare('b', { spec: { next: 'c' } });
    await declare('c', { spec: { next: 'a' } });
    const { snapshot } = await store.mutate(
      mutationOf(acme, () => [], {
        reads: [bucketKey('a'), bucketKey('missing')],
        follow: (row) => [bucketKey(row.spec['next'] as string)],
      }),
    );
    expect([...snapshot.rows.keys()].toSorted()).toEqual(['a', 'b', 'c'].map((name) => keyText(bucketKey(name))));
    expect(await store.countRows(acme, 'acme')).toBe(3);
  });

  test('is due at once, an hour ahead of what merely waits, and moves wake_seq of what is claimed', async () => {
    const { uid } = await declare('due');
    const key = bucketKey('due');
    await db.owner`update work set due_at = statement_timestamp() + interval '1 day', wake_seq = 7 where uid = ${uid}`;
    await store.mutate(mutationOf(acme, () => [updateOf(uid, key)], { reads: [key] }));
    const [work] =
      await db.owner`select wake_seq, due_at < statement_timestamp() - interval '59 min' as early from work`;
    expect(work).toEqual({ wake_seq: '8', early: true });
  });

  test('of labels alone moves the version, not the generation, and wakes nobody', async () => {
    const { uid } = await declare('labels');
    const key = bucketKey('labels');
    await db.owner`update work set due_at = statement_timestamp() + interval '1 day'`;
    const update = updateOf(uid, key, { labels: { a: 'b' }, newGeneration: false });
    const { views } = await store.mutate(mutationOf(acme, () => [update], { reads: [key] }));
    expect(views[0]?.row).toMatchObject({ generation: 1, labels: { a: 'b' } });
    expect(await db.owner`select wake_seq from work where due_at > statement_timestamp()`).toEqual([{ wake_seq: '0' }]);
    expect(await store.revisions(acme, { workspace: 'acme', uid, limit: 9 })).toHaveLength(1);
  });

  test('remembers its request and answers it the next time', async () => {
    const request = { lineage: 'lin1', requestId: 'r1', bodyDigest: 'd1' };
    const first = await store.mutate(mutationOf(acme, () => [insertOf(bucketKey('once'))], { request }));
    expect(first.snapshot.request).toBeNull();
    const second = await store.mutate(mutationOf(acme, () => [], { request: { ...request, bodyDigest: 'other' } }));
    expect(second.snapshot.request).toEqual({ bodyDigest: 'd1', results: first.results });
    await expect(store.mutate(mutationOf(acme, () => [insertOf(bucketKey('twice'))], { request }))).rejects.toThrow(
      'must not write again',
    );
  });

  test('done at once by many with one request id makes one row', async () => {
    const request = { lineage: 'lin1', requestId: 'r1', bodyDigest: 'd1' };
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, () =>
        store.mutate(
          mutationOf(acme, (snapshot) => (snapshot.request === null ? [insertOf(bucketKey('same'))] : []), { request }),
        ),
      ),
    );
    const uids = outcomes.map((one) => (one.snapshot.request?.results ?? one.results)[0]?.uid);
    expect(new Set(uids).size).toBe(1);
    expect((await store.list(acme, { workspace: 'acme', limit: 10 })).items).toHaveLength(1);
  });

  test('keeps its audit chain whole when many write at once', async () => {
    const audit = makeAudit();
    await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        store.mutate(mutationOf(acme, () => [insertOf(bucketKey(`n${index}`))], { audit })),
      ),
    );
    const rows = await db.owner`
      select workspace, seq::int, at, actor, lineage, procedure, outcome, target, body_digest as "bodyDigest",
        trace_id as "traceId", prev_hash as "prevHash", hash from audit_log order by seq`;
    const links = rows.map((row) => ({ ...row, at: row['at'].getTime() }) as AuditLink);
    expect(links).toHaveLength(20);
    expect(brokenAt(links, null)).toBeNull();
  });

  test('finds the plan that a hash stands for, the one of the row asked for first, unless it has expired', async () => {
    const plan = (name: string, minutes: number) => db.owner`
      insert into plans values (${shard}, 'h1', 'Bucket', ${name}, 'acme', 3, 'dd', '[{"digest":"x","risk":"guarded"}]',
        statement_timestamp() + ${minutes} * interval '1 min')`;
    await plan('a', 5);
    await plan('b', 5);
    await plan('gone', -5);
    const planOf = async (name: string) =>
      (await store.mutate(mutationOf(acme, () => [], { planHash: 'h1', reads: [bucketKey(name)] }))).snapshot.plan;
    expect(await planOf('b')).toMatchObject({
      hash: 'h1',
      ref: bucketKey('b'),
      baseGeneration: 3,
      desiredDigest: 'dd',
    });
    expect((await planOf('gone'))?.ref.name).not.toBe('gone');
  });

  test('refuses a change of a row that it did not read, and two writes of one row', async () => {
    const { uid } = await declare('row');
    const key = bucketKey('row');
    await expect(store.mutate(mutationOf(acme, () => [updateOf(uid, key)]))).rejects.toThrow('was read to update');
    await expect(
      store.mutate(mutationOf(acme, () => [updateOf(uid, key), updateOf(uid, key)], { reads: [key] })),
    ).rejects.toThrow('two writes');
  });

  test('undeletes and deletes as two generations, with what was confirmed and approved', async () => {
    const { uid } = await declare('del');
    const key = bucketKey('del');
    const base = { uid, key, by: someone, fires: [] };
    const remove = {
      op: 'delete',
      policy: 'Orphan',
      undoForMs: 60_000,
      confirmed: true,
      approved: ['x'],
      ...base,
    } as const;
    const removed = await store.mutate(mutationOf(acme, () => [remove], { reads: [key] }));
    const { row } = removed.views[0] ?? {};
    expect(row).toMatchObject({ generation: 2, deletionPolicy: 'Orphan', undoUntil: removed.snapshot.now + 60_000 });
    expect((await store.get(acme, key))?.row).toEqual(row);
    await store.mutate(mutationOf(acme, () => [{ op: 'undelete', ...base }], { reads: [key] }));
    expect((await store.get(acme, key))?.row).toMatchObject({ generation: 3, deletedAt: null, undoUntil: null });
    expect(await store.revisions(acme, { workspace: 'acme', uid, limit: 9 })).toMatchObject([
      { generation: 3, confirmed: false, approved: [] },
      { generation: 2, confirmed: true, approved: ['x'] },
      { generation: 1, confirmed: false, approved: [] },
    ]);
  });
});

describe('a fired topic', () => {
  test('wakes the first 500 listeners in the same transaction and leaves the rest draining', async () => {
    const { uid } = await declare('source');
    await db.owner`
      insert into resources (shard, uid, workspace, kind, name, generation, version, spec, created_by, created_at, updated_at)
      select ${shard}, 'l' || to_char(n, 'FM0000'), 'acme', 'Bucket', 'l' || n, 1, 1, '{}', '{}', statement_timestamp(), statement_timestamp()
      from generate_series(1, 600) n`;
    await db.owner`
      insert into work (shard, uid, workspace, kind, due_at, priority)
      select shard, uid, workspace, kind, statement_timestamp() + interval '1 day', 'resync' from resources where uid like 'l%'`;
    await db.owner`insert into listeners select shard, 'ref:Bucket/acme/source', uid from resources where uid like 'l%'`;
    const key = bucketKey('source');
    const update = updateOf(uid, key, { fires: ['ref:Bucket/acme/source'] });
    const { views } = await store.mutate(mutationOf(acme, () => [update], { reads: [key] }));
    expect(await db.owner`select count(*)::int as n from work where uid like 'l%' and wake_seq = 1`).toEqual([
      { n: 500 },
    ]);
    const [fired] = await db.owner`select fired_version::int, draining is not null as draining from topics`;
    expect(fired).toEqual({ fired_version: views[0]?.row.version, draining: true });
  });
});

describe('reads', () => {
  test('list pages in the order kind, name and carry the version of their snapshot', async () => {
    for (const name of ['d', 'b', 'a', 'c', 'e']) await declare(name);
    const first = await store.list(acme, { workspace: 'acme', limit: 2 });
    expect(first.items.map(({ row }) => row.name)).toEqual(['a', 'b']);
    expect(first).toMatchObject({ more: true, version: await versionOf() });
    const rest = await store.list(acme, { workspace: 'acme', limit: 5, after: bucketKey('b') });
    expect(rest.items.map(({ row }) => row.name)).toEqual(['c', 'd', 'e']);
    expect(rest.more).toBe(false);
    expect(await store.list(acme, { workspace: 'acme', limit: 5, kind: 'Queue' })).toMatchObject({
      items: [],
      more: false,
    });
  });

  test('list everywhere spans workspaces for platform keys alone', async () => {
    await declare('a');
    const other = insertOf(bucketKey('x', 'beta1'));
    await store.mutate(mutationOf('platform', () => [other], { workspace: 'beta1' }));
    const all = await store.list('platform', { limit: 10 });
    expect(all.items.map(({ row }) => `${row.workspace}/${row.name}`)).toEqual(['acme/a', 'beta1/x']);
    expect(all.version).toBeNull();
    await expect(store.list(acme, { limit: 10 })).rejects.toThrow('platform');
  });

  test('changes are rows and tombstones by version, and an empty page tells the version too', async () => {
    const before = await versionOf();
    await declare('a');
    await declare('b');
    const at = await versionOf();
    await db.owner`insert into tombstones values (${shard}, ${at + 1}, 'gone', 'acme', 'Bucket', 'gone', '{"a":"b"}', statement_timestamp())`;
    await db.owner`update shards set version = version + 1 where shard = ${shard}`;
    const page = await store.changes(acme, { workspace: 'acme', afterVersion: before, limit: 500 });
    expect(page.changes.map((one) => one.version)).toEqual([at - 1, at, at + 1]);
    expect(page.changes[2]).toEqual({
      type: 'tombstone',
      version: at + 1,
      key: bucketKey('gone'),
      uid: 'gone',
      labels: { a: 'b' },
    });
    expect(page).toMatchObject({ full: false, version: at + 1, trimmedThrough: 0 });
    const none = await store.changes(acme, { workspace: 'acme', afterVersion: at + 1, limit: 500 });
    expect(none).toEqual({ changes: [], full: false, version: at + 1, trimmedThrough: 0 });
  });
});

describe('a decision', () => {
  test('is taken only for an open unknown, and fires its topic', async () => {
    const { uid } = await declare('shop');
    const key = bucketKey('shop');
    const decision = { effect: 'create:1', outcome: 'happened', evidence: 'seen', by: someone } as const;
    expect(await store.decide(acme, { key, decision })).toBe(false);
    await db.owner`
      insert into intents (shard, uid, effect, attempt, workspace, nonce, state, args, announced_at, sent_at, give_up_at)
      values (${shard}, ${uid}, 'create:1', 1, 'acme', 'n1', 'unknown', '{}', statement_timestamp(), statement_timestamp(), statement_timestamp())`;
    await db.owner`insert into listeners values (${shard}, ${`decision:${uid}`}, ${uid})`;
    expect(await store.unknowns(acme, { workspace: 'acme', limit: 5 })).toMatchObject([
      { key, uid, effect: 'create:1' },
    ]);
    expect(await store.decide(acme, { key, decision })).toBe(true);
    expect(await db.owner`select effect, outcome, evidence, by ->> 'lineage' as lineage from decisions`).toEqual([
      { effect: 'create:1', outcome: 'happened', evidence: 'seen', lineage: 'lin1' },
    ]);
    expect(await db.owner`select wake_seq from work`).toEqual([{ wake_seq: '1' }]);
    expect(await db.owner`select fired_version = version as fired from topics join shards using (shard)`).toEqual([
      { fired: true },
    ]);
  });
});
