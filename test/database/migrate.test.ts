import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { migrate, readMigrations } from '#controller/store/migrate.ts';
import { createDatabase, onCitus, type TestDatabase } from '#test/support/postgres.ts';

const run = promisify(execFile);
const main = path.resolve('controller/store/migrate.main.ts');

/** Runs the program as `npm run migrate` does. */
async function program(env: Record<string, string>): Promise<{ code: number; out: string; err: string }> {
  try {
    const { stdout, stderr } = await run(process.execPath, [main], { env: { PATH: process.env['PATH'], ...env } });
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
}

/** Tables, columns, constraints, indexes, policies and grants, as text. */
async function schemaOf(db: TestDatabase): Promise<string[]> {
  const rows = await db.owner<{ line: string }[]>`
    select format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default) as line
    from information_schema.columns where table_schema = 'public'
    union all select conrelid::regclass || ' ' || pg_get_constraintdef(oid) from pg_constraint where connamespace = 'public'::regnamespace
    union all select indexdef from pg_indexes where schemaname = 'public'
    union all select format('%s %s %s %s %s', tablename, policyname, roles, qual, with_check) from pg_policies
    union all select format('%s %s %s %s', table_name, column_name, grantee, privilege_type) from information_schema.column_privileges
      where grantee like 'vibn%' and table_schema = 'public'
    order by 1`;
  return rows.map((row) => row.line);
}

test('a fresh database gets every file once, and a repeated run has nothing to do', async () => {
  await using fresh = await createDatabase({ migrated: false });
  await using template = await createDatabase();
  const files = await readMigrations('migrations');
  const printed: string[] = [];
  const print = (line: string): void => void printed.push(line);
  expect(await migrate({ url: fresh.ownerUrl, print })).toEqual(files.map((file) => file.name));
  expect(printed).toEqual(files.map((file) => `applied ${file.name}`));
  const schema = await schemaOf(fresh);
  expect(schema.length).toBeGreaterThan(200);
  expect(await migrate({ url: fresh.ownerUrl })).toEqual([]);
  expect(await schemaOf(fresh)).toEqual(schema);
  // Citus adds its own views and triggers.
  if (!onCitus()) expect(await schemaOf(template)).toEqual(schema);
});

test('eight processes at once apply each file once, in two databases at the same time', async () => {
  await using one = await createDatabase({ migrated: false });
  await using two = await createDatabase({ migrated: false });
  const runs = await Promise.all(
    Array.from({ length: 8 }, (_, index) =>
      program({ DATABASE_URL: (index % 2 === 0 ? one : two).ownerUrl, VIBN_DB_ROLE_PASSWORD: one.rolePassword }),
    ),
  );
  expect(runs.map((done) => `${done.code}${done.err}`)).toEqual(Array.from({ length: 8 }, () => '0'));
  const applied = runs.flatMap((done) => done.out.split('\n').filter((line) => line.startsWith('applied ')));
  expect(applied.length).toBe(2 * new Set(applied).size);
  expect(await schemaOf(one)).toEqual(await schemaOf(two));
});

test('an applied file that was edited is refused by name, and nothing is applied', async () => {
  await using db = await createDatabase();
  const directory = await mkdtemp(path.join(tmpdir(), 'vibn-migrations-'));
  await cp('migrations', directory, { recursive: true });
  await writeFile(path.join(directory, '9999_new.sql'), 'create table newcomer (id text)');
  await writeFile(path.join(directory, '0003_topics.sql'), '-- edited');
  await expect(migrate({ url: db.ownerUrl, directory })).rejects.toThrow('0003_topics.sql was edited');
  expect(await db.owner`select to_regclass('newcomer') as found`).toEqual([{ found: null }]);
  await rm(directory, { recursive: true });
});

test('a file that fails is rolled back whole, and the error names it', async () => {
  await using db = await createDatabase();
  const directory = await mkdtemp(path.join(tmpdir(), 'vibn-migrations-'));
  await cp('migrations', directory, { recursive: true });
  await writeFile(path.join(directory, '9999_broken.sql'), 'create table half (id text); select nonsense');
  await expect(migrate({ url: db.ownerUrl, directory })).rejects.toThrow('9999_broken.sql failed');
  expect(await db.owner`select to_regclass('half') as found`).toEqual([{ found: null }]);
  await rm(directory, { recursive: true });
});

test('a missing or wrong DATABASE_URL is said clearly, without its password, and the exit code is 1', async () => {
  const missing = await program({});
  expect(missing).toMatchObject({ code: 1, out: '' });
  expect(missing.err).toContain('DATABASE_URL is not set');
  const wrong = await program({ DATABASE_URL: 'postgres://someone:hunter2@127.0.0.1:1/nowhere' });
  expect(wrong.code).toBe(1);
  expect(wrong.err).toContain('Cannot use DATABASE_URL (postgres://someone@127.0.0.1:1/nowhere)');
  expect(wrong.err).not.toContain('hunter2');
});

test('the login roles cannot make temporary tables in a migrated database', async () => {
  await using db = await createDatabase({ migrated: false });
  const make = 'create temporary table mine (id text)';
  await migrate({ url: db.ownerUrl, rolePassword: db.rolePassword });
  for (const role of ['vibn_api', 'vibn_platform', 'vibn_controller'] as const) {
    await expect(db.login(role).unsafe(make)).rejects.toMatchObject({ code: '42501' });
  }
  await db.owner.unsafe(make);
});

test('the login roles carry their timeouts and cannot change the schema', async () => {
  await using db = await createDatabase();
  for (const role of ['vibn_api', 'vibn_platform', 'vibn_controller'] as const) {
    const sql = db.login(role);
    const [settings] = await sql`
      select current_setting('lock_timeout') as lock, current_setting('statement_timeout') as statement,
        current_setting('idle_in_transaction_session_timeout') as idle`;
    expect(settings).toEqual({ lock: '2s', statement: '5s', idle: '5s' });
    await expect(sql`create table mine (id text)`).rejects.toMatchObject({ code: '42501' });
    await expect(sql`alter table resources add mine text`).rejects.toMatchObject({ code: '42501' });
  }
});
