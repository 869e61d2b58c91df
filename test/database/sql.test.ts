import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CommitUnknown, StoreUnavailable } from '#controller/store/sql-errors.ts';
import { createSqlResourceStore } from '#controller/store/sql-resource-store.ts';
import type { Tx } from '#controller/store/sql-transaction.ts';
import type { Sql } from '#controller/store/sql.ts';
import { statement } from '#controller/store/statement.ts';
import { cutProxy, type Cut } from '#test/support/cut-proxy.ts';
import { createDatabase, type TestDatabase } from '#test/support/postgres.ts';
import { bucketKey, insertOf, mutationOf } from '#test/support/rows.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await createDatabase();
  await db.owner.unsafe(`
    create table marks (id text, n int);
    grant select, insert, update on marks to vibn_api;
    create sequence failures;
    grant usage, update on failures to vibn_api;
    create function flaky(code text, times int) returns int language plpgsql as $$
    begin
      if nextval('failures') <= times then raise exception using errcode = code; end if;
      return 1;
    end $$`);
});
afterAll(() => db[Symbol.asyncDispose]());
beforeEach(async () => {
  await db.owner`truncate marks`;
  await db.owner`select setval('failures', 1, false)`;
});

const echo = statement<
  [json: string, ms: number, big: number, texts: readonly string[]],
  { json: unknown; at: number; big: number; texts: string[]; none: null }
>({
  name: 'echo',
  repeatable: true,
  text: `select $1::text::jsonb as json, $2::timestamptz as at, $3::bigint as big, $4::text[] as texts, null::timestamptz as none`,
});
const huge = statement<[], { n: number }>({ name: 'huge', text: `select 9007199254740993::bigint as n` });
const mark = statement<[id: string], never>({ name: 'mark', text: `insert into marks values ($1::text, 1)` });
const flaky = statement<[code: string, times: number], { flaky: number }>({
  name: 'flaky',
  text: `select flaky($1::text, $2::int)`,
});
const sleep = statement<[seconds: number], never>({ name: 'sleep', text: `select pg_sleep($1::float8)` });
const sleepRead = statement<[seconds: number], never>({
  name: 'sleep_read',
  repeatable: true,
  text: `select pg_sleep($1::float8)`,
});

const suicide = statement<[], never>({ name: 'suicide', text: `select pg_terminate_backend(pg_backend_pid())` });

describe('types', () => {
  test('cross as JSON once encoded, times in ms, int8 as numbers, arrays of text', async () => {
    const sql = db.sql('vibn_api');
    const at = Date.UTC(2026, 10, 20, 3, 0, 0, 123);
    const nasty = ['a"b', 'c,d', '{e}', 'f\\g', '', 'null', 'ü🙂'];
    for (const value of ['a string', { a: [1, null, 'ü🙂'] }, [1], 'null', null]) {
      const [row] = await echo(sql, JSON.stringify(value), at, 2 ** 53 - 1, nasty);
      expect(row).toEqual({ json: value, at, big: 2 ** 53 - 1, texts: nasty, none: null });
    }
  });

  test('refuse an int8 that a number cannot hold', async () => {
    await expect(huge(db.sql('vibn_api'))).rejects.toThrow('safe range');
  });

  test('keep the value of a setting out of the SQL', async () => {
    const injected = db.sql('vibn_api').transaction('t', async (tx) => {
      tx.setLocal('vibn.workspace', `x'; drop table marks; --`);
    });
    await expect(injected).rejects.toThrow(RangeError);
    expect(await db.owner`select count(*)::int as n from marks`).toEqual([{ n: 0 }]);
  });
});

describe('a statement that the server rolled back', () => {
  test.each(['40001', '40P01', '55P03', '57014', '53100', '53200', '25006'])(
    'with %s is tried again, alone and in a transaction',
    async (code) => {
      const outcomes: string[] = [];
      const sql = db.sql('vibn_api', { onStatement: (name, _ms, outcome) => void outcomes.push(`${name} ${outcome}`) });
      expect(await flaky(sql, code, 3)).toEqual([{ flaky: 1 }]);
      await db.owner`select setval('failures', 1, false)`;
      const done = sql.transaction('twice', async (tx) => {
        await mark(tx, 'x');
        return (await flaky(tx, code, 3))[0]?.flaky;
      });
      expect(await done).toBe(1);
      expect(await db.owner`select id from marks`).toEqual([{ id: 'x' }]);
      expect(outcomes.filter((outcome) => outcome === `flaky ${code}`)).toHaveLength(6);
    },
  );

  test('for good is not tried again, and its session is used again', async () => {
    const outcomes: string[] = [];
    const sql = db.sql('vibn_api', { max: 1, onStatement: (_name, _ms, outcome) => void outcomes.push(outcome) });
    await expect(flaky(sql, '22012', 1)).rejects.toMatchObject({ code: '22012' });
    expect(await flaky(sql, '22012', 0)).toEqual([{ flaky: 1 }]);
    expect(outcomes).toEqual(['22012', 'ok']);
  });

  test('and swallowed by the body does not commit the rest', async () => {
    const sql = db.sql('vibn_api');
    const swallowed = sql.transaction('swallow', async (tx) => {
      await mark(tx, 'x');
      await flaky(tx, '22012', 9).catch(() => undefined);
    });
    await expect(swallowed).rejects.toMatchObject({ code: '22012' });
    expect(await db.owner`select 1 from marks`).toHaveLength(0);
  });
});

describe('statements that fail', () => {
  test('are not remembered: a service that meets conflicts for weeks holds on to none of them', async () => {
    const sql = db.sql('vibn_api');
    const fail = async (times: number): Promise<number> => {
      for (let n = 0; n < times; n += 50) {
        await Promise.all(Array.from({ length: 50 }, () => flaky(sql, '22012', 1e9).catch(() => undefined)));
      }
      return heldBytes();
    };
    const warm = await fail(1_000);
    // Each was remembered in more than a hundred bytes.
    expect((await fail(6_000)) - warm).toBeLessThan(300_000);
  });
});

/** On the heap, all garbage collected. */
function heldBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  return process.memoryUsage().heapUsed;
}

describe('the deadline', () => {
  test('ends a call that hangs, and the next call has a new pool', async () => {
    const sql = db.sql('vibn_api', { max: 1, deadlineMs: 200 });
    await expect(sleepRead(sql, 3)).rejects.toThrow(StoreUnavailable);
    await expect(sleep(sql, 3)).rejects.toThrow(CommitUnknown);
    expect(await flaky(sql, '40001', 0)).toHaveLength(1);
  });

  test('ends calls on a black-holed connection', async () => {
    await using proxy = await cutProxy(db.urlOf('vibn_api'));
    const sql = db.sql('vibn_api', { url: proxy.url, max: 1, deadlineMs: 300 });
    expect(await flaky(sql, '40001', 0)).toHaveLength(1);
    proxy.blackHole();
    await expect(echo(sql, '1', 0, 0, [])).rejects.toThrow(StoreUnavailable);
    expect(await echo(sql, '1', 0, 0, [])).toHaveLength(1);
  });
});

describe('a client that freezes in the midst of a statement, holding locks', () => {
  test('is ended by the other sessions of its login: no timeout of the server covers it', async () => {
    await db.owner`insert into marks values ('held', 1)`;
    const hold = statement<[id: string], never>({
      name: 'hold',
      text: `select from marks where id = $1::text for update`,
    });
    await using proxy = await cutProxy(db.urlOf('vibn_api'));
    const frozen = db.sql('vibn_api', { url: proxy.url, max: 1, deadlineMs: 60_000, stuckMs: 60_000 });
    const held = Promise.withResolvers<void>();
    const never = frozen.transaction('freeze', async (tx) => {
      await hold(tx, 'held');
      // What follows is asked to be described first, and the answer never comes: the server waits for what to do with it.
      proxy.blackHole('answers');
      held.resolve();
      await mark(tx, 'x');
    });
    never.catch(() => undefined);
    await held.promise;
    const begun = performance.now();
    const other = db.sql('vibn_api', { max: 2, deadlineMs: 20_000, stuckMs: 500 });
    await hold(other, 'held');
    expect(performance.now() - begun).toBeLessThan(5_000);
  });
});

describe('a lost connection', () => {
  test('in the middle of a transaction is survived, and the transaction is run again', async () => {
    const sql = db.sql('vibn_api');
    let runs = 0;
    await sql.transaction('killed', async (tx) => {
      runs += 1;
      await mark(tx, 'x');
      if (runs === 1) await suicide(tx);
    });
    expect(runs).toBe(2);
    expect(await db.owner`select id from marks`).toEqual([{ id: 'x' }]);
  });

  test('while many transactions run loses and doubles nothing', async () => {
    const sql = db.sql('vibn_api', { max: 8 });
    const ids = Array.from({ length: 400 }, (_, index) => `id${index}`);
    let done = 0;
    let killed = 0;
    const kill = async (): Promise<void> => {
      const victims = await db.owner`select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'vibn_api' and datname = ${db.name} order by random() limit 2`;
      killed += victims.length;
    };
    const write = async (tx: Tx, id: string): Promise<void> => {
      // An unprepared statement is described first; what is queued behind it must not be forgotten.
      await flaky(tx, '40001', 0);
      tx.closeWith(() => mark(tx, id));
    };
    const killing: Promise<void>[] = [];
    await Promise.all(
      ids.map(async (id) => {
        await sql.transaction('mark', (tx) => write(tx, id), { resolveCommit: true });
        done += 1;
        if (done % 8 === 0) killing.push(kill());
      }),
    );
    await Promise.all(killing);
    expect(killed).toBeGreaterThan(50);
    const [count] = await db.owner`select count(*)::int as n, count(distinct id)::int as ids from marks`;
    expect(count).toEqual({ n: 400, ids: 400 });
  });

  test('at COMMIT is surfaced as CommitUnknown where nobody asked to resolve it', async () => {
    await using proxy = await cutProxy(db.urlOf('vibn_api'));
    const sql: Sql = db.sql('vibn_api', { url: proxy.url, max: 1 });
    const write = (id: string) => sql.transaction('mark', async (tx) => tx.closeWith(() => mark(tx, id)));
    await write('warm');
    // One chunk: BEGIN, the closing statement and COMMIT.
    proxy.arm({ chunk: 1, how: 'unanswered' });
    await expect(write('x')).rejects.toThrow(CommitUnknown);
  });
});

describe('a mutation cut at each of its chunks', () => {
  const cuts: readonly Cut['how'][] = [
    'unsent',
    'unanswered',
    { fatal: '57P01' },
    { fatal: '08006' },
    { fatal: '53300' },
    { fatal: '40001' },
    { fatal: '08P01' },
  ];
  test.each(cuts)('%j answers as if nothing had happened, and takes effect once', async (how) => {
    await using proxy = await cutProxy(db.urlOf('vibn_api'));
    let total = Infinity;
    for (let chunk = 1; chunk <= total; chunk += 1) {
      const api = db.sql('vibn_api', { url: proxy.url, max: 1 });
      const store = createSqlResourceStore({ api, platform: api, signals: { signal: () => undefined } });
      const write = insertOf(bucketKey(`cut-${JSON.stringify(how).replaceAll(/\W/g, '')}-${chunk}`));
      proxy.arm({ chunk, how });
      const outcome = await store.mutate(mutationOf({ workspace: 'acme' }, () => [write], { reads: [write.key] }));
      if (total === Infinity && proxy.chunks() < chunk) total = chunk;
      proxy.arm(null);
      const view = await store.get({ workspace: 'acme' }, write.key);
      expect(view?.row).toEqual(outcome.views[0]?.row);
      await api.end();
    }
    expect(total).toBeGreaterThan(4);
    const [row] = await db.owner`select count(*)::int as n from resources where generation <> 1`;
    expect(row).toEqual({ n: 0 });
  });
});
