import { describe, expect, it } from 'vitest';
import { compareRights, ourTables } from './grants.ts';
import type { ColumnRights } from './grants.ts';
import { loginFindings, rightsFindings } from './login-checks.ts';
import type { LoginFacts } from './login-checks.ts';

const healthy: LoginFacts = {
  user: 'vibn_api',
  superuser: false,
  bypassesRls: false,
  createsRoles: false,
  createsTables: false,
  owns: false,
  lockTimeoutMs: 2_000,
  statementTimeoutMs: 5_000,
  idleTimeoutMs: 5_000,
  synchronousCommit: 'on',
  isolation: 'read committed',
  readOnly: false,
  encrypted: true,
};

describe('a login', () => {
  const bad = (changes: Partial<LoginFacts>, host = 'db.internal'): string[] =>
    loginFindings('vibn_api', { facts: { ...healthy, ...changes }, host })
      .filter(({ verdict }) => verdict !== 'ok')
      .map(({ verdict, what, fact }) => `${verdict} ${what.replace('database: vibn_api', '').trim()}: ${fact}`);

  it.each<[string, Partial<LoginFacts>, string[]]>([
    ['is fine', {}, []],
    ['is another', { user: 'postgres' }, ['FAIL : the URL logs in as postgres']],
    [
      'is too strong',
      { superuser: true, owns: true },
      ['FAIL : is a superuser, owns the schema or is in vibn_migrator'],
    ],
    ['bypasses the wall', { bypassesRls: true }, ['FAIL : bypasses row-level security']],
    ['may make tables', { createsTables: true }, ['FAIL : may make tables']],
    ['waits for locks for ever', { lockTimeoutMs: 0 }, ['FAIL timeouts: lock_timeout is off']],
    ['has other timeouts', { statementTimeoutMs: 60_000 }, ['warn timeouts: statement_timeout is 60000 ms']],
    [
      'forgets commits',
      { synchronousCommit: 'off' },
      ['FAIL commits: synchronous_commit is off: a crash forgets commits'],
    ],
    [
      'forgets commits at a failover',
      { synchronousCommit: 'local' },
      ['warn commits: synchronous_commit is local: a failover may forget commits'],
    ],
    ['waits for replicas', { synchronousCommit: 'remote_apply' }, []],
    ['sees old snapshots', { isolation: 'repeatable read' }, ['FAIL isolation: transactions are repeatable read']],
    ['cannot write', { readOnly: true }, ['FAIL writes: transactions are read only']],
    ['is in the clear', { encrypted: false }, ['warn TLS: the session with db.internal is not encrypted']],
  ])('%s', (_what, changes, expected) => {
    expect(bad(changes)).toEqual(expected);
  });

  it('needs no encryption on loopback', () => {
    expect(bad({ encrypted: false }, '127.0.0.1')).toEqual([]);
  });
});

/** A column with exactly these rights. */
const column = (table: string, name: string, rights: Partial<ColumnRights> = {}): ColumnRights => ({
  table,
  column: name,
  select: false,
  insert: false,
  update: false,
  delete: false,
  other: false,
  ...rights,
});

describe('rights', () => {
  it.each<[string, ColumnRights, { extra?: string[]; missing?: string[] }]>([
    ['as granted', column('resources', 'spec', { select: true, insert: true, update: true }), {}],
    [
      'to write status',
      column('resources', 'status', { select: true, update: true }),
      { extra: ['update resources.status'] },
    ],
    [
      'to wish are missing',
      column('resources', 'spec', { select: true, insert: true }),
      { missing: ['update resources.spec'] },
    ],
    [
      'to read secrets',
      column('secrets', 'ciphertext', { insert: true, select: true }),
      { extra: ['select secrets.ciphertext', 'insert secrets.ciphertext'] },
    ],
    ['to delete', column('plans', 'hash', { select: true, delete: true }), { extra: ['delete plans'] }],
    ['on a table that is not ours', column('pg_stat_statements', 'query', { select: true }), {}],
    [
      'to read what was migrated',
      column('schema_migrations', 'name', { select: true }),
      { extra: ['select schema_migrations.name'] },
    ],
    [
      'to truncate',
      column('plans', 'hash', { select: true, other: true }),
      { extra: ['truncate, references or trigger plans'] },
    ],
  ])('of the API %s', (_what, row, { extra = [], missing = [] }) => {
    expect(compareRights('vibn_api', [row])).toEqual({ extra, missing });
  });

  it('of the controller end at money and audit', () => {
    const rows = [column('ledger_entries', 'cents', { select: true, insert: true, update: true, delete: true })];
    expect(compareRights('vibn_controller', rows).extra).toEqual([
      'update ledger_entries.cents',
      'delete ledger_entries',
    ]);
  });

  it('are not compared while tables are missing: the migrations are at fault', () => {
    const findings = rightsFindings('vibn_api', [column('resources', 'status', { update: true })]);
    expect(findings).toMatchObject([{ verdict: 'FAIL', remedy: 'Run npm run migrate with this version.' }]);
    expect(findings[0]?.fact).toMatch(/^there is no table api_keys, .* more$/);
  });

  it('that differ are named, a few of them', () => {
    const rows = ourTables.map((table) => column(table, 'column_x', { other: true }));
    const [extra] = rightsFindings('vibn_platform', rows);
    expect(extra?.verdict).toBe('FAIL');
    expect(extra?.fact.split(',').length).toBeLessThan(12);
    expect(extra?.fact).toMatch(/ and \d+ more$/);
  });
});
