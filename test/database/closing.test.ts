import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Tx } from '#controller/store/sql-transaction.ts';
import type { Sql } from '#controller/store/sql.ts';
import { statement } from '#controller/store/statement.ts';
import { createDatabase, type TestDatabase } from '#test/support/postgres.ts';

/** The closing statement goes with COMMIT, which must commit the whole of a transaction or nothing of it, and never say one for the other. */
let db: TestDatabase;
beforeAll(async () => {
  db = await createDatabase();
  await db.owner.unsafe(`create table marks (id text, at timestamptz); grant select, insert on marks to vibn_api`);
});
afterAll(() => db[Symbol.asyncDispose]());
beforeEach(() => db.owner`truncate marks`);

const mark = statement<[id: string], never>({ name: 'mark', text: `insert into marks values ($1::text)` });
const markAt = statement<[id: string, at: number], never>({
  name: 'mark_at',
  text: `insert into marks values ($1::text, $2::timestamptz)`,
});
const fails = statement<[n: number], never>({ name: 'fails', text: `select 1 / $1::int` });
const unwritable = Object.assign([], { 0: { toString: (): string => expect.unreachable() } });

const marks = async (): Promise<unknown[]> =>
  (await db.owner`select id from marks order by id`).map((row) => row['id']);

/** A transaction that writes a mark and then closes; afterwards the only connection of the pool is used again. */
async function closing(sql: Sql, close: (tx: Tx) => () => Promise<unknown>): Promise<unknown> {
  const ended = await sql
    .transaction('closing', async (tx) => {
      await mark(tx, 'half');
      tx.closeWith(close(tx));
      return 'committed';
    })
    .catch((error: unknown) => error);
  await sql.transaction('next', async (tx) => tx.closeWith(() => mark(tx, 'next')));
  return ended;
}

const closings: Readonly<Record<string, (tx: Tx) => () => Promise<unknown>>> = {
  'rejects before it sends anything': () => async () => {
    throw new Error('closing');
  },
  'throws before it sends anything': () => () => {
    throw new Error('closing');
  },
  'sends nothing in its turn': (tx) => async () => {
    await Promise.resolve();
    await mark(tx, 'late');
  },
  'has a parameter of a wrong type': (tx) => () => mark(tx, undefined as unknown as string),
  'has a parameter that can not be written': (tx) => () => mark(tx, unwritable as unknown as string),
  'has a time that is none': (tx) => () => markAt(tx, 'x', NaN),
  'has a time beyond those there are': (tx) => () => markAt(tx, 'x', 1e18),
  'has an array with an element of a wrong type': (tx) => () => mark(tx, [undefined] as unknown as string),
  'fails, and hides it': (tx) => () => fails(tx, 0).catch(() => undefined),
  'fails in the second of two statements': (tx) => () => Promise.all([mark(tx, 'x'), fails(tx, 0)]),
  'is not sent the second of two statements': (tx) => () =>
    Promise.all([mark(tx, 'x'), mark(tx, undefined as unknown as string)]),
};

describe('a transaction whose closing statement', () => {
  test.each(Object.keys(closings))('%s is rolled back, and says so, cold and warm', async (name) => {
    const close = closings[name];
    if (close === undefined) throw new Error('no such closing');
    const sql = db.sql('vibn_api', { max: 1 });
    for (const state of ['cold', 'warm']) {
      expect(await closing(sql, close), state).toBeInstanceOf(Error);
      expect(await marks(), state).toEqual(['next']);
      await db.owner`truncate marks`;
      // Prepared now on this connection, where it was described first before.
      await markAt(sql, 'warm', 0);
      await db.owner`truncate marks`;
    }
  });

  test('is the only one is rolled back too', async () => {
    const sql = db.sql('vibn_api', { max: 1 });
    for (const id of ['cold', 'warm']) {
      const only = sql.transaction('only', async (tx) => tx.closeWith(() => markAt(tx, 'x', NaN)));
      await expect(only).rejects.toThrow(RangeError);
      await markAt(sql, id, 0);
    }
    expect(await marks()).toEqual(['cold', 'warm']);
  });
});

describe('a statement of which the server has forgotten', () => {
  const forget = statement<[], never>({ name: 'forget', text: `deallocate all` });
  /** An insert whose answer has the columns that the table had when it was planned. */
  const markAll = statement<[id: string], never>({
    name: 'mark_all',
    text: `insert into marks values ($1::text) returning *`,
  });

  test.each(['the name', 'the shape of its answer'])(
    '%s takes effect with the rest of its transaction',
    async (what) => {
      const sql = db.sql('vibn_api', { max: 1 });
      await markAll(sql, 'warm');
      let runs = 0;
      const write = async (tx: Tx): Promise<void> => {
        runs += 1;
        await mark(tx, 'body');
        if (runs > 1) return tx.closeWith(() => markAll(tx, 'closing'));
        if (what === 'the name') await forget(tx);
        tx.closeWith(() => markAll(tx, 'closing'));
      };
      if (what !== 'the name') await db.owner`alter table marks add column if not exists more text`;
      await sql.transaction('whole', write);
      expect(await marks()).toEqual(['body', 'closing', 'warm']);
    },
  );
});

describe('a parameter that can not be written', () => {
  test('rejects its statement alone, and the connection goes on', async () => {
    const sql = db.sql('vibn_api', { max: 1 });
    for (const id of ['cold', 'warm']) {
      await expect(markAt(sql, 'x', NaN)).rejects.toThrow('mark_at: $2');
      await expect(mark(sql, undefined as unknown as string)).rejects.toThrow('mark: $1');
      await markAt(sql, id, 0);
    }
    expect(await marks()).toEqual(['cold', 'warm']);
  });

  test('rolls back the transaction that it stands in', async () => {
    const sql = db.sql('vibn_api', { max: 1 });
    const refused = sql.transaction('refused', async (tx) => {
      await Promise.all([mark(tx, 'half'), markAt(tx, 'x', NaN).catch(() => undefined)]);
    });
    await expect(refused).rejects.toThrow('mark_at: $2');
    expect(await marks()).toEqual([]);
  });
});
