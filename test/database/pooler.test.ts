import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock, systemRng } from '#controller/clock.ts';
import type { ResourceStore } from '#controller/store/resource-store.ts';
import { createSqlResourceStore } from '#controller/store/sql-resource-store.ts';
import { connect, type Sql } from '#controller/store/sql.ts';
import { statement } from '#controller/store/statement.ts';
import type { ResourceKey } from '#resources/resource.ts';
import { cutProxy } from '#test/support/cut-proxy.ts';
import { startPgbouncer } from '#test/support/pooler/pgbouncer.ts';
import { poolerMissing } from '#test/support/pooler/pooler.ts';
import { openSwappingPooler } from '#test/support/pooler/swapping-pooler.ts';
import { createDatabase, onCitus, type TestDatabase } from '#test/support/postgres.ts';
import { bucketKey, insertOf, mutationOf } from '#test/support/rows.ts';
import { urlThrough } from '#test/support/urls.ts';

// What a transaction pooler does to its clients, and that the product minds none of it. The whole suite goes through one by
// `VIBN_TEST_POOLER=swap vitest run --project database`.

let db: TestDatabase;
beforeAll(async () => {
  db = await createDatabase();
});
afterAll(() => db[Symbol.asyncDispose]());

type Asked = Pick<postgres.Sql, 'unsafe'>;
const pidOf = async (sql: Asked): Promise<number | undefined> =>
  (await sql.unsafe<{ pid: number }[]>('select pg_backend_pid() as pid'))[0]?.pid;
const settingOf = async (sql: postgres.Sql): Promise<string | null | undefined> =>
  (await sql<{ it: string | null }[]>`select current_setting('vibn.workspace', true) as it`)[0]?.it;

/** Clients of a pooler of our own with two sessions, each client with one connection. */
async function openClients(count: number, options: { keepsPrepared?: boolean; sessionsMax?: number } = {}) {
  const stack = new AsyncDisposableStack();
  const direct = db.directUrlOf('vibn_api');
  const pooler = stack.use(await openSwappingPooler({ serverUrl: direct, sessionsMax: 2, ...options }));
  const url = urlThrough(pooler, direct);
  const open = (more: postgres.Options<Record<string, never>> = {}): postgres.Sql => {
    const sql = postgres(url, { max: 1, fetch_types: false, onnotice: () => undefined, ...more });
    stack.defer(() => sql.end({ timeout: 0 }));
    return sql;
  };
  return {
    url,
    open,
    clients: Array.from({ length: count }, () => open()),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

describe('the swapping pooler', () => {
  test('gives a client another session after each transaction, and one session within it', async () => {
    await using pool = await openClients(1);
    const [one] = pool.clients;
    if (one === undefined) throw new Error('no client');
    const pids: unknown[] = [];
    for (let round = 0; round < 10; round += 1) pids.push(await pidOf(one));
    expect(pids.every((pid, index) => index === 0 || pid !== pids[index - 1])).toBe(true);
    const within = await one.begin(async (tx) => [await pidOf(tx), await pidOf(tx), await pidOf(tx)]);
    expect(new Set(within).size).toBe(1);
  });

  test('loses the settings of a session, and hands them to somebody else', async () => {
    await using pool = await openClients(2);
    const [one, other] = pool.clients;
    if (one === undefined || other === undefined) throw new Error('no clients');
    await one`select set_config('vibn.workspace', 'acme', false)`;
    expect(await settingOf(other)).toBe('acme');
    await one`select set_config('vibn.workspace', 'acme', false)`;
    expect(await settingOf(one)).not.toBe('acme');
  });

  test('keeps prepared statements for each client by its own names, through errors, with more clients than sessions', async () => {
    await using pool = await openClients(8);
    const ask = async (sql: postgres.Sql, client: number): Promise<void> => {
      for (let round = 0; round < 20; round += 1) {
        expect(await sql.unsafe(`select ${client} + $1::int as sum`, [round], { prepare: true })).toEqual([
          { sum: client + round },
        ]);
        const wrong = sql.unsafe(`select ${client} / $1::int as one`, [0], { prepare: true });
        await expect(wrong).rejects.toMatchObject({ code: '22012' });
        const missing = sql.unsafe(`select $1::int from missing_${client}`, [1], { prepare: true });
        await expect(missing).rejects.toMatchObject({ code: '42P01' });
      }
    };
    await Promise.all(pool.clients.map(ask));
  });

  test('without them is PgBouncer before 1.21: a second execution does not find its statement', async () => {
    await using pool = await openClients(1, { keepsPrepared: false });
    // In a transaction, where the driver can not try it again under another name.
    const ask = () => pool.clients[0]?.begin((tx) => tx.unsafe('select 1 + $1::int', [1], { prepare: true }));
    await ask();
    await expect(ask()).rejects.toMatchObject({ code: '26000' });
  });

  test('refuses other startup parameters than PgBouncer’s, and passwords that the server refuses', async () => {
    await using pool = await openClients(0);
    await expect(pidOf(pool.open({ connection: { statement_timeout: 5_000 } }))).rejects.toMatchObject({
      code: '08P01',
    });
    await expect(pidOf(pool.open({ password: 'wrong' }))).rejects.toMatchObject({ code: '28P01' });
  });

  test('opens others for sessions that were killed while nobody had them', async () => {
    await using pool = await openClients(2);
    const pids = await Promise.all(pool.clients.map(pidOf));
    await db.owner`select pg_terminate_backend(pid, 5000) from unnest(${pids as number[]}::int[]) as pid`;
    // A client that is lent a session in the very moment loses it, as with any pooler.
    const again = await Promise.all(pool.clients.map((sql) => pidOf(sql).catch(() => pidOf(sql))));
    expect(again.some((pid) => pids.includes(pid))).toBe(false);
  });
});

const naked = statement<[], { setting: string | null; rows: number }>({
  name: 'naked',
  repeatable: true,
  text: `select current_setting('vibn.workspace', true) as setting, (select count(*)::int from resources) as rows`,
});
const workspaces = Array.from({ length: 8 }, (_, index) => `tenant${index}`);

const rounds = 20;

const storeOn = (sql: Sql): ResourceStore =>
  createSqlResourceStore({ api: sql, platform: sql, signals: { signal: () => undefined } });
const declare = (store: ResourceStore, key: ResourceKey) =>
  store.mutate(
    mutationOf({ workspace: key.workspace }, () => [insertOf(key)], { workspace: key.workspace, reads: [key] }),
  );

/** Clients of eight workspaces write and read at once, and one that names none looks on. Resolves to what it saw. */
async function tenantsAtOnce(url: string): Promise<{ readonly seen: ReadonlySet<unknown>; readonly wrong: unknown[] }> {
  await using opened = new AsyncDisposableStack();
  const open = (max: number) => {
    const sql = connect({ url, role: 'vibn_api', max, clock: systemClock, rng: systemRng });
    opened.defer(() => sql.end());
    return sql;
  };
  const declared: ResourceKey[] = [];
  const seen = new Set<unknown>();
  const wrong: unknown[] = [];
  const stranger = open(1);
  const live = async (workspace: string): Promise<void> => {
    const store = storeOn(open(2));
    for (let round = 0; round < rounds; round += 1) {
      const key = bucketKey(crypto.randomUUID(), workspace);
      await declare(store, key);
      declared.push(key);
      const foreign = declared.find((one) => one.workspace !== workspace) ?? bucketKey('none', 'nobody');
      const [own, theirs] = await Promise.all([store.get({ workspace }, key), store.get({ workspace }, foreign)]);
      if (own?.row.workspace !== workspace) wrong.push(own);
      if (theirs !== null) wrong.push(theirs);
      for (const row of await naked(stranger)) seen.add(JSON.stringify(row));
    }
  };
  await Promise.all(workspaces.map(live));
  return { seen, wrong };
}

/** Null on a session that never had one, empty on one that had. */
const nothing = [JSON.stringify({ setting: null, rows: 0 }), JSON.stringify({ setting: '', rows: 0 })];

describe('no workspace leaks from one client to the next', () => {
  test('over two sessions that are swapped at each commit', async () => {
    await using pool = await openClients(0);
    const { seen, wrong } = await tenantsAtOnce(pool.url);
    expect(wrong).toEqual([]);
    expect([...seen].filter((row) => !nothing.includes(row as string))).toEqual([]);
    // The stranger did have the sessions of tenants: else nothing was tried.
    expect(seen.has(nothing[1])).toBe(true);
  });

  test('but one that was set for the session does: the look-out can see', async ({ skip }) => {
    if (onCitus()) return skip('on Citus a setting of a session does not reach the workers: there is nothing to see');
    await using pool = await openClients(2);
    const [one, other] = pool.clients;
    await declare(storeOn(db.sql('vibn_api')), bucketKey('seen', 'planted'));
    await one?.unsafe(`select set_config('vibn.workspace', 'planted', false)`);
    expect(await other?.unsafe(naked.statement.text)).toEqual([{ setting: 'planted', rows: 1 }]);
  });

  test('through PgBouncer, where it is installed', async ({ skip }) => {
    const missing = await poolerMissing('pgbouncer');
    if (missing !== null) return skip(missing);
    const direct = db.directUrlOf('vibn_api');
    await using pooler = await startPgbouncer({ serverUrl: direct, rolePassword: db.rolePassword });
    const { seen, wrong } = await tenantsAtOnce(urlThrough(pooler, direct));
    expect(wrong).toEqual([]);
    expect([...seen].filter((row) => !nothing.includes(row as string))).toEqual([]);
  });
});

const hold = statement<[], never>({ name: 'hold', text: `select pg_advisory_xact_lock(7)` });
const note = statement<[text: string], { text: string }>({ name: 'note', text: `select $1::text as text` });

test('a client that freezes while a statement is described that the session knew before is ended by the others of its login', async () => {
  await using pool = await openClients(0, { sessionsMax: 4 });
  await using proxy = await cutProxy(pool.url);
  const options = { url: pool.url, deadlineMs: 20_000, stuckMs: 500 };
  // Alone, it has two sessions in turn: both know the statement, and only its description is asked for.
  const other = db.sql('vibn_api', { ...options, max: 2 });
  for (let round = 0; round < 4; round += 1) await note(other, 'known');
  const frozen = db.sql('vibn_api', { ...options, url: proxy.url, max: 1, stuckMs: 60_000, deadlineMs: 60_000 });
  const held = Promise.withResolvers<void>();
  const never = frozen.transaction('freeze', async (tx) => {
    await hold(tx);
    proxy.blackHole('answers');
    held.resolve();
    await note(tx, 'never heard');
  });
  never.catch(() => undefined);
  await held.promise;
  const begun = performance.now();
  await other.transaction('take', async (tx) => void (await hold(tx)), { repeatable: true });
  expect(performance.now() - begun).toBeLessThan(5_000);
});
