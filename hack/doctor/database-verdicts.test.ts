import { describe, expect, it } from 'vitest';
import { migrationFindings } from './migration-checks.ts';
import { listenFinding, poolerFinding } from './pooler-checks.ts';
import { clockFinding, connectionFindings, poolSizes, serverFindings } from './server-checks.ts';
import type { ServerFacts } from './server-checks.ts';
import { databaseFailure } from './session.ts';
import { wallFindings } from './wall-checks.ts';
import type { WallFacts } from './wall-checks.ts';

const server: ServerFacts = {
  version: 150_018,
  recovering: false,
  fsync: 'on',
  fullPageWrites: 'on',
  encoding: 'UTF8',
  connectionsMax: 197,
  connectionsUsed: 10,
};

describe('the server', () => {
  it.each<[string, Partial<ServerFacts>, string[]]>([
    ['is fine', {}, []],
    ['is 18', { version: 180_002 }, []],
    ['is too old', { version: 140_009 }, ['FAIL version']],
    ['is newer than what is tested', { version: 190_000 }, ['warn version']],
    ['is a standby', { recovering: true }, ['FAIL primary']],
    ['is not durable', { fsync: 'off' }, ['FAIL durability']],
    ['tears pages', { fullPageWrites: 'off' }, ['FAIL durability']],
    ['is not in UTF-8', { encoding: 'SQL_ASCII' }, ['FAIL encoding']],
  ])('%s', (_what, changes, expected) => {
    const bad = serverFindings({ ...server, ...changes }).filter(({ verdict }) => verdict !== 'ok');
    expect(bad.map(({ verdict, what }) => `${verdict} ${what.replace('database: ', '')}`)).toEqual(expected);
  });

  it.each([
    [0, 1, 'ok'],
    [1_999, 0, 'ok'],
    [-2_100, 0, 'warn'],
    [2_100, 200, 'ok'],
    [60_000, 200, 'warn'],
  ])('a clock %i ms ahead, ±%i ms, is %s', (aheadMs, errorMs, verdict) => {
    expect(clockFinding({ aheadMs, errorMs }).verdict).toBe(verdict);
  });
});

describe('connections', () => {
  const verdict = (facts: Partial<ServerFacts>, env = {}): string | undefined =>
    connectionFindings({ ...server, ...facts }, poolSizes(env))[0]?.verdict;

  it('of one replica are its pools and one for LISTEN', () => {
    const env = { VIBN_API_POOL_MAX: '20', VIBN_DB_CONNECTIONS: '8' };
    expect(poolSizes(env).map(({ connections }) => connections)).toEqual([41, 9, 9]);
    expect(poolSizes({ VIBN_API_POOL_MAX: 'many' }).map(({ connections }) => connections)).toEqual([21, 11, 5]);
  });

  it.each<[string, Partial<ServerFacts>, string]>([
    ['fit three times', {}, 'ok'],
    ['fit once', { connectionsMax: 97 }, 'warn'],
    ['do not fit', { connectionsMax: 30 }, 'FAIL'],
    ['are used up', { connectionsUsed: 190 }, 'warn'],
  ])('%s', (_what, facts, expected) => {
    expect(verdict(facts)).toBe(expected);
  });

  it('grow with the pools', () => {
    expect(verdict({}, { VIBN_API_POOL_MAX: '100' })).toBe('FAIL');
  });
});

describe('migrations', () => {
  const [one, two] = [
    { name: '0001_a.sql', checksum: 'x' },
    { name: '0002_b.sql', checksum: 'y' },
  ];
  it.each([
    ['are all applied', [one, two], ['ok']],
    ['are missing', [one], ['FAIL not applied: 0002_b.sql']],
    ['were never applied', [], ['FAIL not applied: 0001_a.sql, 0002_b.sql']],
    ['were edited', [{ ...one, checksum: 'z' }, two], ['FAIL 0001_a.sql was edited after it was applied']],
    [
      'are newer than this version',
      [one, two, { name: '0003_c.sql', checksum: 'w' }],
      ['warn applied, and unknown to this version: 0003_c.sql'],
    ],
    [
      'are wrong in all ways',
      [
        { ...one, checksum: 'z' },
        { name: '0003_c.sql', checksum: 'w' },
      ],
      [
        'FAIL not applied: 0002_b.sql',
        'FAIL 0001_a.sql was edited after it was applied',
        'warn applied, and unknown to this version: 0003_c.sql',
      ],
    ],
  ])('%s', (_what, applied, expected) => {
    const findings = migrationFindings([one, two], applied);
    const texts = findings.map(({ verdict, fact }) => (verdict === 'ok' ? verdict : `${verdict} ${fact}`));
    expect(texts).toEqual(expected);
  });
});

describe('row-level security', () => {
  const facts: WallFacts = {
    tables: [{ table: 'work', enabled: true, forced: true }],
    policies: [
      { table: 'work', policy: 'engine', permissive: true, roles: ['vibn_controller'], condition: 'true' },
      {
        table: 'work',
        policy: 'workspace',
        permissive: true,
        roles: ['vibn_api'],
        condition: "(workspace = current_setting('vibn.workspace'::text, true))",
      },
    ],
    rowsWithoutWorkspace: 0,
  };
  const opening = { table: 'work', policy: 'all', permissive: true, roles: ['public'], condition: 'true' };

  it.each<[string, Partial<WallFacts>, string[]]>([
    ['stands', {}, ['ok forced on 1 tenant tables']],
    ['is off', { tables: [{ table: 'work', enabled: false, forced: true }] }, ['FAIL not enabled and forced on work']],
    [
      'spares the owner',
      { tables: [{ table: 'work', enabled: true, forced: false }] },
      ['FAIL not enabled and forced on work'],
    ],
    ['has no table', { tables: [] }, ['FAIL there is no tenant table']],
    [
      'is opened by a policy for everybody',
      { policies: [...facts.policies, opening] },
      ['FAIL policy all on work lets vibn_api see other workspaces'],
    ],
    [
      'is only narrowed by a restrictive policy',
      { policies: [{ ...opening, permissive: false }] },
      ['ok forced on 1 tenant tables'],
    ],
    ['shows rows all the same', { rowsWithoutWorkspace: 1 }, ['FAIL vibn_api sees resources without a workspace']],
  ])('%s', (_what, changes, expected) => {
    expect(wallFindings({ ...facts, ...changes }).map(({ verdict, fact }) => `${verdict} ${fact}`)).toEqual(expected);
  });
});

describe('poolers', () => {
  it('are fine as long as prepared statements survive', () => {
    expect(poolerFinding('db:5432', { pooled: false, preparedLost: null })).toMatchObject({ verdict: 'ok' });
    expect(poolerFinding('pool:6432', { pooled: true, preparedLost: null })).toMatchObject({
      verdict: 'ok',
      fact: 'survive at pool:6432, through a pooler of transactions',
    });
    expect(poolerFinding('pool:6432', { pooled: true, preparedLost: '26000' }).verdict).toBe('FAIL');
  });

  it('that swallow NOTIFY are a failure', () => {
    expect([listenFinding(true).verdict, listenFinding(false).verdict]).toEqual(['ok', 'FAIL']);
  });
});

describe('a failure to connect', () => {
  it.each([
    ['28P01', /password is wrong/],
    ['53300', /max_connections/],
    ['ECONNREFUSED', /Nothing listens/],
    ['XX999', /Check the URL/],
  ])('%s has a remedy', (code, remedy) => {
    const finding = databaseFailure('database: x', Object.assign(new Error('no'), { code }));
    expect(finding).toMatchObject({ verdict: 'FAIL', fact: 'no' });
    expect(finding.remedy).toMatch(remedy);
  });
});
