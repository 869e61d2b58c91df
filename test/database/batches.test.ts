import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { brokenAt, type AuditLink } from '#controller/store/audit-chain.ts';
import type { MutationOutcome, ResourceStore } from '#controller/store/resource-store.ts';
import type { MutationSnapshot, RowWrite } from '#controller/store/rows.ts';
import { createSqlResourceStore } from '#controller/store/sql-resource-store.ts';
import { keyText } from '#resources/reference.ts';
import { shardOf } from '#resources/shard.ts';
import { makeAudit } from '#test/support/audit.ts';
import { cutProxy } from '#test/support/cut-proxy.ts';
import { createDatabase, type TestDatabase } from '#test/support/postgres.ts';
import { bucketKey, insertOf, mutationOf, updateOf } from '#test/support/rows.ts';

// Mutations that share a transaction. VIBN_BATCH_RUNS: interleavings of the property at the end (10 by default).

const acme = { workspace: 'acme' } as const;
const shard = shardOf('acme');
const runs = Number(process.env['VIBN_BATCH_RUNS'] ?? 10);

let db: TestDatabase;
let store: ResourceStore;
let commits = 0;
/** Statements that failed. */
let failures = 0;

const storeOn = (url: string): ResourceStore => {
  const onStatement = (name: string, _ms: number, outcome: string): void => {
    if (name === 'commit_mutate') commits += 1;
    if (outcome !== 'ok') failures += 1;
  };
  const api = db.sql('vibn_api', { url, max: 4, onStatement });
  return createSqlResourceStore({ api, platform: db.sql('vibn_platform'), signals: { signal: () => undefined } });
};

beforeAll(async () => {
  db = await createDatabase();
  store = storeOn(db.urlOf('vibn_api'));
});
afterAll(() => db[Symbol.asyncDispose]());
beforeEach(async () => {
  await db.owner`truncate resources, work, revisions, requests, topics, listeners, tombstones, plans, intents, audit_log, decisions`;
  await db.owner`update shards set version = 0`;
  [commits, failures] = [0, 0];
});

const audit = (traceId: string) => makeAudit({ traceId });

async function chain(): Promise<readonly AuditLink[]> {
  const rows = await db.owner`
    select workspace, seq::int, at, actor, lineage, procedure, outcome, target, body_digest as "bodyDigest",
      trace_id as "traceId", prev_hash as "prevHash", hash from audit_log order by seq`;
  return rows.map((row) => ({ ...row, at: row['at'].getTime() }) as AuditLink);
}

const versionOf = async (): Promise<number> =>
  Number((await db.owner`select version from shards where shard = ${shard}`)[0]?.['version']);

const declare = (name: string, more: Parameters<typeof mutationOf>[2] = {}): Promise<MutationOutcome> =>
  store.mutate(
    mutationOf(acme, () => [insertOf(bucketKey(name))], { reads: [bucketKey(name)], audit: audit(name), ...more }),
  );

describe('mutations at once', () => {
  test('of one workspace share transactions, with versions and audit links of their own, in their order', async () => {
    const names = Array.from({ length: 101 }, (_, index) => `row${index}`);
    const outcomes = await Promise.all(names.map((name) => declare(name)));
    expect(commits).toBe(3);
    expect(outcomes.map((one) => one.views[0]?.row.version)).toEqual(names.map((_, index) => index + 1));
    expect(outcomes.map((one) => one.snapshot.version)).toEqual(names.map((_, index) => index));
    expect(await versionOf()).toBe(101);
    const links = await chain();
    expect(links.map((link) => link.traceId)).toEqual(names);
    expect(brokenAt(links, null)).toBeNull();
    const fresh = await store.getByKeys(
      acme,
      'acme',
      names.map((name) => bucketKey(name)),
    );
    const versions = new Map(fresh.map((view) => [view.row.name, view.row]));
    for (const { views } of outcomes) expect(versions.get(views[0]?.row.name ?? '')).toEqual(views[0]?.row);
  });

  test('are refused alone, and leave the others as they are', async () => {
    const results = await Promise.allSettled(
      Array.from({ length: 30 }, (_, index) =>
        index % 3 === 1
          ? store.mutate(
              mutationOf(
                acme,
                () => {
                  throw new Error(`refused ${index}`);
                },
                { audit: audit('never') },
              ),
            )
          : declare(`row${index}`),
      ),
    );
    expect(commits).toBe(2);
    for (const [index, result] of results.entries()) {
      if (index % 3 !== 1) expect(result.status).toBe('fulfilled');
      else expect(result).toMatchObject({ reason: { message: `refused ${index}` } });
    }
    const links = await chain();
    expect(links).toHaveLength(20);
    expect(brokenAt(links, null)).toBeNull();
    expect(await versionOf()).toBe(20);
  });

  test('that one poisons with what Postgres refuses all take effect but that one', async () => {
    const poison = insertOf(bucketKey('poison'), { spec: { text: 'a\u0000b' } });
    const results = await Promise.allSettled([
      ...['a', 'b'].map((name) => declare(name)),
      store.mutate(mutationOf(acme, () => [poison], { audit: audit('poison') })),
      ...['c', 'd'].map((name) => declare(name)),
    ]);
    expect(results.map((one) => one.status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect((await chain()).map((link) => link.traceId)).toEqual(['a', 'b', 'c', 'd']);
    expect(await versionOf()).toBe(4);
  });

  test('with one request id, a thousand of them, make one row; another body is told so', async () => {
    const request = { lineage: 'lin1', requestId: 'r1', bodyDigest: 'd1' };
    const once = (name: string) => (snapshot: MutationSnapshot) =>
      snapshot.request === null ? [insertOf(bucketKey(name))] : [];
    // They wait together behind another, so that the first batch of them holds many that know of no other.
    const before = declare('before');
    const outcomes = await Promise.all(
      Array.from({ length: 1_000 }, (_, index) => {
        const other = index % 100 === 99;
        return store.mutate(
          mutationOf(acme, once(`same${index}`), { request: { ...request, bodyDigest: other ? 'other' : 'd1' } }),
        );
      }),
    );
    const [first] = outcomes;
    expect(outcomes.filter((one) => one.writes.length > 0)).toHaveLength(1);
    for (const { snapshot } of outcomes.slice(1)) {
      expect(snapshot.request).toEqual({ bodyDigest: 'd1', results: first?.results });
    }
    await before;
    expect((await store.list(acme, { workspace: 'acme', limit: 10 })).items).toHaveLength(2);
    expect(await versionOf()).toBe(2);
    expect(commits).toBeLessThan(30);
    expect(failures).toBe(0);
  });

  test('that change one row each see what the one before left', async () => {
    const { uid } = (await declare('counter')).views[0]?.row ?? { uid: '' };
    const key = bucketKey('counter');
    const count = (snapshot: MutationSnapshot): readonly RowWrite[] => {
      const n = Number(snapshot.rows.get(keyText(key))?.spec['n'] ?? 0);
      return [updateOf(uid, key, { spec: { n: n + 1 } })];
    };
    await Promise.all(Array.from({ length: 60 }, () => store.mutate(mutationOf(acme, count, { reads: [key] }))));
    expect((await store.get(acme, key))?.row).toMatchObject({ spec: { n: 60 }, generation: 61, version: 61 });
  });

  test('of one workspace leave connections for another', async () => {
    const crowd = Array.from({ length: 400 }, (_, index) => declare(`crowd${index}`));
    let done = 0;
    for (const one of crowd) void one.then(() => (done += 1));
    const other = { workspace: 'other' } as const;
    await store.mutate({
      ...mutationOf(other, () => [insertOf(bucketKey('mine', 'other'))]),
      workspace: 'other',
    });
    expect(done).toBeLessThan(200);
    await Promise.all(crowd);
  });

  test('wake who listens to a new row', async () => {
    const { uid } = (await declare('listener')).views[0]?.row ?? { uid: '' };
    await db.owner`update work set due_at = statement_timestamp() + interval '1 day'`;
    await db.owner`insert into listeners values (${shard}, 'ref:Bucket/acme/awaited', ${uid})`;
    const fires = (name: string) => ({ fires: [`ref:Bucket/acme/${name}`] });
    await Promise.all(
      ['before', 'awaited', 'after'].map((name) =>
        store.mutate(mutationOf(acme, () => [insertOf(bucketKey(name), fires(name))], { reads: [bucketKey(name)] })),
      ),
    );
    expect(await db.owner`select wake_seq from work where uid = ${uid}`).toEqual([{ wake_seq: '1' }]);
    expect(await db.owner`select topic from topics order by topic`).toHaveLength(3);
  });
});

test('a batch cut at each of its chunks takes effect once, for each of its mutations', async () => {
  await using proxy = await cutProxy(db.urlOf('vibn_api'));
  for (const how of ['unsent', 'unanswered'] as const) {
    let total = Infinity;
    for (let chunk = 1; chunk <= total; chunk += 1) {
      const cut = storeOn(proxy.url);
      const names = ['a', 'b', 'c', 'd'].map((name) => `${name}-${how}-${chunk}`);
      proxy.arm({ chunk, how });
      const outcomes = await Promise.all(
        names.map((name) =>
          cut.mutate(
            mutationOf(acme, () => [insertOf(bucketKey(name))], { reads: [bucketKey(name)], audit: audit(name) }),
          ),
        ),
      );
      if (total === Infinity && proxy.chunks() < chunk) total = chunk;
      proxy.arm(null);
      for (const [index, name] of names.entries()) {
        expect((await store.get(acme, bucketKey(name)))?.row).toEqual(outcomes[index]?.views[0]?.row);
      }
    }
    expect(total).toBeGreaterThan(4);
  }
  const links = await chain();
  expect(brokenAt(links, null)).toBeNull();
  expect(new Set(links.map((link) => link.traceId)).size).toBe(links.length);
  expect(await versionOf()).toBe(links.length);
});

/** One mutation of the property: what it reads, and what it does with what it saw. */
interface Step {
  readonly op: 'put' | 'copy' | 'refuse-unless' | 'repeat';
  readonly name: string;
  readonly from: string;
}

type Rows = ReadonlyMap<string, number>;

/** What a step makes of the rows, null for a refusal: the serial model. */
function modelled({ op, name, from }: Step, rows: Rows): Rows | null {
  const seen = rows.get(from);
  if (op === 'refuse-unless' && seen === undefined) return null;
  const value = op === 'copy' ? (seen ?? 0) + 1 : (rows.get(name) ?? 0) + 1;
  return new Map([...rows, [name, value]]);
}

test('any interleaving is the same as one after the other, in the order of the audit chain', async () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
  const step = fc.record<Step>({ op: fc.constantFrom('put', 'copy', 'refuse-unless', 'repeat'), name, from: name });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 60 }), async (steps) => {
      await db.owner`truncate resources, work, revisions, requests, topics, listeners, audit_log`;
      await db.owner`update shards set version = 0`;
      const results = await Promise.allSettled(steps.map((one, index) => carryOut(one, index)));

      const links = await chain();
      expect(brokenAt(links, null)).toBeNull();
      let rows: Rows = new Map();
      const states = [rows];
      const requested = new Set<string>();
      let version = 0;
      for (const { traceId } of links) {
        const one = steps[Number(traceId)] as Step;
        const result = results[Number(traceId)];
        const again = one.op === 'repeat' && requested.has(one.name);
        if (one.op === 'repeat') requested.add(one.name);
        if (!again) rows = modelled(one, rows) ?? new Map([['a refused mutation was audited', 0]]);
        if (!again) version += 1;
        states.push(rows);
        expect(result).toMatchObject({ status: 'fulfilled', value: { writes: { length: again ? 0 : 1 } } });
        if (!again && result?.status === 'fulfilled') expect(result.value.views[0]?.row.version).toBe(version);
      }
      for (const [index, result] of results.entries()) {
        if (result.status === 'fulfilled') continue;
        // It was refused by a state that there was.
        const one = steps[index] as Step;
        expect(one.op).toBe('refuse-unless');
        expect(states.some((state) => modelled(one, state) === null)).toBe(true);
      }
      const stored = (await store.list(acme, { workspace: 'acme', limit: 100 })).items;
      expect(new Map(stored.map(({ row }) => [row.name, row.spec['n']]))).toEqual(rows);
      expect(await versionOf()).toBe(version);
    }),
    { numRuns: runs },
  );

  function carryOut({ op, name: to, from }: Step, index: number): Promise<MutationOutcome> {
    const request = { lineage: 'lin1', requestId: to, bodyDigest: 'd' };
    return store.mutate(
      mutationOf(
        acme,
        (snapshot) => {
          if (snapshot.request !== null) return [];
          const row = snapshot.rows.get(keyText(bucketKey(to)));
          const seen = snapshot.rows.get(keyText(bucketKey(from)));
          if (op === 'refuse-unless' && seen === undefined) throw new Error('refused');
          const n = Number((op === 'copy' ? seen : row)?.spec['n'] ?? 0) + 1;
          const key = bucketKey(to);
          return [row === undefined ? insertOf(key, { spec: { n } }) : updateOf(row.uid, key, { spec: { n } })];
        },
        {
          reads: [bucketKey(to), bucketKey(from)],
          audit: audit(String(index)),
          ...(op === 'repeat' ? { request } : {}),
        },
      ),
    );
  }
});
