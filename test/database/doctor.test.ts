import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runChecks } from '#hack/doctor/check.ts';
import type { Finding } from '#hack/doctor/check.ts';
import { createSqlAdminStore } from '#controller/store/sql-admin-store.ts';
import { databaseChecks } from '#hack/doctor/checks.ts';
import { databaseUrls, roleNames } from '#hack/doctor/environment.ts';
import { ourTables } from '#hack/doctor/grants.ts';
import { migrationChecks } from '#hack/doctor/migration-checks.ts';
import { poolerChecks } from '#hack/doctor/pooler-checks.ts';
import { openSwappingPooler } from '#test/support/pooler/swapping-pooler.ts';
import { createDatabase, type TestDatabase } from '#test/support/postgres.ts';
import { urlThrough } from '#test/support/urls.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await createDatabase();
  // The tests' server forgets commits on purpose.
  await db.owner.unsafe(`alter database ${db.name} set synchronous_commit = on`);
});
afterAll(() => db[Symbol.asyncDispose]());

const envOf = (database: TestDatabase): Record<string, string> => ({
  DATABASE_URL: database.ownerUrl,
  DATABASE_URL_API: database.urlOf('vibn_api'),
  DATABASE_URL_PLATFORM: database.urlOf('vibn_platform'),
  DATABASE_URL_CONTROLLER: database.urlOf('vibn_controller'),
  DATABASE_URL_DIRECT: database.directUrlOf('vibn_controller'),
});

async function findings(env: Record<string, string>): Promise<readonly Finding[]> {
  return await runChecks(databaseChecks({ text: '', local: false, env, roles: roleNames }));
}

/** What is wrong, but that the tests' server does not sync to disk. */
async function wrong(env = envOf(db)): Promise<string[]> {
  const bad = (await findings(env)).filter(({ verdict, what }) => verdict !== 'ok' && what !== 'database: durability');
  return bad.map(({ verdict, what, fact }) => `${verdict} ${what.replace('database: ', '')}: ${fact}`);
}

describe('a migrated database', () => {
  test('passes, and what is looked at is all there', async () => {
    expect(await wrong()).toEqual([]);
    const seen = (await findings(envOf(db))).map(({ what }) => what.replace('database: ', ''));
    const each = ['vibn_api', 'vibn_platform', 'vibn_controller'].flatMap((role) =>
      ['', ' timeouts', ' commits', ' rights'].map((part) => `${role}${part}`),
    );
    const before = ['version', 'durability', 'clock', 'connections', 'migrations'];
    expect(seen).toEqual([...before, ...each, 'row-level security', 'audit chains', 'LISTEN', 'prepared statements']);
  });

  test('that loses what it has at a crash does not', async () => {
    const [{ fsync } = { fsync: '' }] = await db.owner<{ fsync: string }[]>`select current_setting('fsync') as fsync`;
    const durability = (await findings(envOf(db))).find(({ what }) => what === 'database: durability');
    expect(durability?.verdict).toBe(fsync === 'on' ? 'ok' : 'FAIL');
  });

  test('has no table that the list of grants does not name', async () => {
    const rows = await db.owner<{ name: string }[]>`
      select relname::text as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') order by 1`;
    expect(rows.map(({ name }) => name).toSorted()).toEqual(ourTables);
  });

  test('is looked at without changing anything', async () => {
    const digest = async (): Promise<unknown> =>
      await db.owner`select relname, relacl::text, (select count(*) from shards)::int as shards
        from pg_class where relnamespace = 'public'::regnamespace order by 1`;
    const before = await digest();
    await findings(envOf(db));
    expect(await digest()).toEqual(before);
  });
});

describe('a database that something was done to', () => {
  const broken: readonly (readonly [
    string,
    { readonly break: string; readonly mend: string; readonly says: string },
  ])[] = [
    [
      'the API may write status',
      {
        break: 'grant update (status) on resources to vibn_api',
        mend: 'revoke update (status) on resources from vibn_api',
        says: 'FAIL vibn_api rights: it may also update resources.status',
      },
    ],
    [
      'everybody may delete claims',
      {
        break: 'grant delete on retained to public',
        mend: 'revoke delete on retained from public',
        says: 'FAIL vibn_platform rights: it may also delete retained',
      },
    ],
    [
      'the controller may not announce',
      {
        break: 'revoke insert on intents from vibn_controller',
        mend: 'grant insert on intents to vibn_controller',
        says: 'FAIL vibn_controller rights: it may not insert intents.shard',
      },
    ],
    [
      'a wall does not bind the owner',
      {
        break: 'alter table work no force row level security',
        mend: 'alter table work force row level security',
        says: 'FAIL row-level security: not enabled and forced on work',
      },
    ],
    [
      'a policy opens the wall',
      {
        break: 'create policy oops on secrets to public using (true)',
        mend: 'drop policy oops on secrets',
        says: 'FAIL row-level security: policy oops on secrets lets vibn_api see other workspaces',
      },
    ],
    [
      'a migration is missing',
      {
        break: `create table kept as select * from schema_migrations where name like '0006%'; delete from schema_migrations where name like '0006%'`,
        mend: 'insert into schema_migrations select * from kept; drop table kept',
        says: 'FAIL migrations: not applied: 0006_roles.sql',
      },
    ],
  ];

  test.each(broken)('fails: %s', async (_what, { break: harm, mend, says }) => {
    await db.owner.unsafe(harm);
    try {
      expect((await wrong()).some((line) => line.startsWith(says))).toBe(true);
    } finally {
      await db.owner.unsafe(mend);
    }
    expect(await wrong()).toEqual([]);
  });

  test('fails: a migration was edited', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'vibn-doctor-'));
    await cp('migrations', directory, { recursive: true });
    await writeFile(path.join(directory, '0003_topics.sql'), '-- edited');
    const [finding] = await runChecks(migrationChecks(databaseUrls(envOf(db)), directory));
    expect(finding).toMatchObject({ verdict: 'FAIL', fact: '0003_topics.sql was edited after it was applied' });
    await rm(directory, { recursive: true });
  });

  test('fails: settings of this database override the role’s', async () => {
    // Past a pooler: the sessions that it keeps were opened before.
    const direct = { ...envOf(db), DATABASE_URL_API: db.directUrlOf('vibn_api') };
    await db.owner.unsafe(`alter role vibn_api in database ${db.name} set statement_timeout = 0`);
    expect(await wrong(direct)).toEqual(['FAIL vibn_api timeouts: statement_timeout is off']);
    await db.owner.unsafe(`alter role vibn_api in database ${db.name} reset statement_timeout`);
  });
});

test('an empty database fails, and says what to do', async () => {
  await using empty = await createDatabase({ migrated: false });
  const all = await findings(envOf(empty));
  const rights = all.filter(({ what }) => what.endsWith('rights') || what.endsWith('migrations'));
  expect(rights.map(({ verdict }) => verdict)).toEqual(['FAIL', 'FAIL', 'FAIL', 'FAIL']);
  expect(rights.every(({ remedy }) => remedy?.startsWith('Run npm run migrate') === true)).toBe(true);
});

test('a wrong password fails without being shown, and the owner is no login of a role', async () => {
  const hidden = 'hunter2hunter2';
  const url = new URL(db.directUrlOf('vibn_api'));
  url.password = hidden;
  const lines = await wrong({ ...envOf(db), DATABASE_URL_API: url.toString(), DATABASE_URL_PLATFORM: db.ownerUrl });
  expect(lines.some((line) => line.startsWith('FAIL vibn_api: password authentication failed'))).toBe(true);
  expect(lines.some((line) => line.startsWith('FAIL vibn_platform: the URL logs in as '))).toBe(true);
  expect(lines.join()).not.toContain(hidden);
});

describe('through a pooler of transactions', () => {
  const checked = async (pooled: string, direct: string | null): Promise<string[]> => {
    const logins = { vibn_api: null, vibn_platform: null, vibn_controller: pooled };
    const all = await runChecks(poolerChecks({ owner: null, logins, direct }));
    return all.map(({ verdict, what, fact }) => `${verdict} ${what} ${fact}`.replace(/127[\d.:]+/, '<host>'));
  };
  const hears = 'ok database: LISTEN hears its own NOTIFY';
  const deaf = 'FAIL database: LISTEN heard nothing of its own NOTIFY within 2 s';
  const lost = 'FAIL database: prepared statements <host> loses them between transactions (26000)';
  const kept = 'ok database: prepared statements survive at <host>, through a pooler of transactions';
  const serverUrl = (): string => db.directUrlOf('vibn_controller');

  test('that forgets prepared statements, as PgBouncer before 1.21, they are missed, and LISTEN is where it goes through', async () => {
    await using pooler = await openSwappingPooler({ serverUrl: serverUrl(), keepsPrepared: false });
    const pooled = urlThrough(pooler, serverUrl());
    expect(await checked(pooled, pooled)).toEqual([deaf, lost]);
    expect(await checked(pooled, serverUrl())).toEqual([hears, lost]);
  });

  test.each([1, 20])(
    'that keeps them, with %i sessions: all is well where LISTEN goes past it',
    async (sessionsMax) => {
      await using pooler = await openSwappingPooler({ serverUrl: serverUrl(), sessionsMax });
      expect(await checked(urlThrough(pooler, serverUrl()), serverUrl())).toEqual([hears, kept]);
    },
  );
});

describe('the audit log', () => {
  test('is whole as written; an entry that was edited, or taken out, is named', async () => {
    const own = await createDatabase();
    try {
      const [api, platform, controller] = [own.sql('vibn_api'), own.sql('vibn_platform'), own.sql('vibn_controller')];
      const admin = createSqlAdminStore({ api, platform, controller });
      const entry = { actor: 'k', lineage: 'l', procedure: 'p', outcome: 'ok', bodyDigest: 'd', traceId: 'x' };
      for (let n = 1; n <= 5; n += 1) await admin.audit('platform', 'acme', { ...entry, target: `t${n}` });
      await admin.audit('platform', null, { ...entry, target: 'gcs' });
      const look = async () => (await findings(envOf(own))).filter((one) => one.what === 'database: audit chains');
      expect(await look()).toMatchObject([{ verdict: 'ok', fact: 'whole: the newest 6 entries of 2 chains' }]);
      await own.owner`update audit_log set target = 'other' where workspace = 'acme' and seq = 3`;
      expect(await look()).toMatchObject([
        { verdict: 'FAIL', fact: 'entry 3 of workspace acme is not what was written' },
      ]);
      await own.owner`delete from audit_log where workspace = 'acme' and seq = 3`;
      expect(await look()).toMatchObject([{ verdict: 'FAIL', fact: expect.stringContaining('entry 3 of') }]);
    } finally {
      await own[Symbol.asyncDispose]();
    }
  });
});
