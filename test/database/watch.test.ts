import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ResourceStore } from '#controller/store/resource-store.ts';
import { createSqlResourceStore } from '#controller/store/sql-resource-store.ts';
import { shardOf } from '#resources/shard.ts';
import { createDatabase, type TestDatabase } from '#test/support/postgres.ts';
import { bucketKey, insertOf, mutationOf } from '#test/support/rows.ts';

/** Changes per run; the design's 10⁵ are run with VIBN_WATCH_CHANGES=100000. */
const changesWanted = Number(process.env['VIBN_WATCH_CHANGES'] ?? 6_000);
const writers = 16;
const readers = 3;
const scope = { workspace: 'acme' } as const;

let db: TestDatabase;
let store: ResourceStore;
beforeAll(async () => {
  db = await createDatabase();
  const [api, platform] = [db.sql('vibn_api', { max: writers + readers }), db.sql('vibn_platform')];
  store = createSqlResourceStore({ api, platform, signals: { signal: () => undefined } });
  await db.owner.unsafe(`create table control (id bigint generated always as identity primary key)`);
});
afterAll(() => db[Symbol.asyncDispose]());

/** Reads on and on from a cursor, as a watcher does, until it has seen what all writers wrote. */
async function watch(done: () => number | null): Promise<number[]> {
  const seen: number[] = [];
  let cursor = 0;
  for (;;) {
    const last = done();
    const page = await store.changes(scope, { workspace: 'acme', afterVersion: cursor, limit: 97 });
    seen.push(...page.changes.map((change) => change.version));
    cursor = page.full ? (page.changes.at(-1)?.version ?? cursor) : page.version;
    if (last !== null && cursor >= last) return seen;
  }
}

test('16 writers and 3 readers: no change is missed or doubled, and all come in order', async () => {
  let last: number | null = null;
  const reading = Array.from({ length: readers }, () => watch(() => last));
  const perWriter = Math.ceil(changesWanted / writers);
  const write = async (writer: number): Promise<void> => {
    for (let written = 0; written < perWriter;) {
      // Transactions of mixed lengths: of 1 to 20 rows, some refused after they took the lock.
      const size = Math.min(1 + ((writer * 7 + written) % 20), perWriter - written);
      if (written % 5 === 0) {
        const refused = store.mutate(
          mutationOf(scope, () => {
            throw new Error('refused');
          }),
        );
        await refused.catch(() => undefined);
      }
      const rows = Array.from({ length: size }, (_, index) => insertOf(bucketKey(`w${writer}-${written + index}`)));
      await store.mutate(mutationOf(scope, () => rows));
      written += size;
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)));
  const [shards] = await db.owner`select version::int from shards where shard = ${shardOf('acme')}`;
  last = Number(shards?.['version']);

  const total = perWriter * writers;
  expect(last).toBe(total);
  const everything = Array.from({ length: total }, (_, index) => index + 1);
  for (const seen of await Promise.all(reading)) expect(seen).toEqual(everything);
});

test('the control: a cursor over ids of a sequence misses changes', async () => {
  let seen = 0;
  let cursor = 0;
  const read = async (): Promise<void> => {
    const rows = await db.owner<{ id: number }[]>`select id::int as id from control where id > ${cursor} order by id`;
    seen += rows.length;
    cursor = rows.at(-1)?.id ?? cursor;
  };
  const total = 40;
  for (let round = 0; round < total / 2; round += 1) {
    // The first takes its id before the second, and commits after it.
    await db.owner.begin(async (slow) => {
      await slow`insert into control default values`;
      await db.owner`insert into control default values`;
      await read();
    });
    await read();
  }
  expect(seen).toBe(total / 2);
});
