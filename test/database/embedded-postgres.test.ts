import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import postgres from 'postgres';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { migrate, readMigrations } from '#controller/store/migrate.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '#hack/embedded-postgres.ts';

let directory: string;
let running: EmbeddedPostgres[] = [];
// mkdtemp makes it 0700: as root, Postgres runs as another account, which could not enter it by itself.
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'vibn-embedded-'));
});
afterEach(async () => {
  for (const server of running) await server.stop();
  running = [];
  await rm(directory, { recursive: true, force: true });
});

async function start(persistent: boolean): Promise<EmbeddedPostgres> {
  const dataDir = path.join(directory, 'data');
  const server = await startEmbeddedPostgres({ dataDir, user: 'owner', password: `p'w %/@"`, persistent });
  running.push(server);
  return server;
}

async function query<T>(server: EmbeddedPostgres, run: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(server.url, { max: 1, onnotice: () => undefined });
  try {
    return await run(sql);
  } finally {
    await sql.end();
  }
}

test('persistent data outlives a stop, and a kill', async () => {
  const first = await start(true);
  await query(first, (sql) => sql`create table kept as select 1 as n`);
  await first.stop();
  const second = await start(true);
  expect(await query(second, (sql) => sql`insert into kept values (2) returning n`)).toEqual([{ n: 2 }]);
  process.kill(second.pid, 'SIGKILL');
  await second.exited;
  const third = await start(true);
  expect(await query(third, (sql) => sql`select n from kept order by n`)).toEqual([{ n: 1 }, { n: 2 }]);
});

test('a second server on the same data is refused with the reason', async () => {
  await start(true);
  await expect(start(true)).rejects.toThrow(/did not start in .*postmaster\.pid/s);
});

test('data that is not persistent is gone after the stop', async () => {
  const server = await start(false);
  await server.stop();
  await expect(stat(path.join(directory, 'data'))).rejects.toMatchObject({ code: 'ENOENT' });
});

test('on a new server, eight databases migrated at once share the login roles', async () => {
  const server = await start(false);
  const names = Array.from({ length: 8 }, (_, index) => `db${index}`);
  for (const name of names) await query(server, (sql) => sql.unsafe(`create database ${name}`));
  const urlOf = (name: string): string => server.url.replace(/\/postgres$/, `/${name}`);
  const applied = await Promise.all(names.map((name) => migrate({ url: urlOf(name), rolePassword: 'secret1' })));
  const files = (await readMigrations('migrations')).map((file) => file.name);
  expect(applied).toEqual(names.map(() => files));
  const roles = await query(
    server,
    (sql) => sql`select rolname, rolcanlogin from pg_roles where rolname like 'vibn%' order by 1`,
  );
  expect(roles).toEqual([
    { rolname: 'vibn_api', rolcanlogin: true },
    { rolname: 'vibn_controller', rolcanlogin: true },
    { rolname: 'vibn_migrator', rolcanlogin: false },
    { rolname: 'vibn_platform', rolcanlogin: true },
  ]);
});
