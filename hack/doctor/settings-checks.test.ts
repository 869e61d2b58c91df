import { describe, expect, it } from 'vitest';
import type { Env } from '#controller/process/env.ts';
import {
  listenerFindings,
  nodeFinding,
  proxyFinding,
  secretFindings,
  settingsFindings,
  strayFindings,
} from './settings-checks.ts';

const complete: Env = {
  DATABASE_URL_API: 'postgres://vibn_api:p@db/vibn',
  DATABASE_URL_PLATFORM: 'postgres://vibn_platform:p@db/vibn',
  DATABASE_URL_CONTROLLER: 'postgres://vibn_controller:p@db/vibn',
  VIBN_KEY_HMAC_SECRET: '0123456789abcdef0123456789abcdef0',
  VIBN_INTERNAL_TOKEN: 'fedcba9876543210fedcba9876543210f',
  VIBN_SECRETS_KEY: Buffer.from('0123456789abcdef0123456789abcdef').toString('base64'),
  VIBN_GCP_PROJECT: 'my-project',
};

it.each([
  ['26.10.0', 'ok'],
  ['27.0.0', 'ok'],
  ['24.21.0', 'warn'],
  ['22.12.0', 'FAIL'],
])('Node %s is %s', (version, verdict) => {
  expect(nodeFinding(version).verdict).toBe(verdict);
});

describe('settings', () => {
  it.each(['api', 'controller', 'reader'] as const)('of %s are complete', (role) => {
    expect(settingsFindings(role, complete)).toEqual([
      { what: `settings: ${role}`, verdict: 'ok', fact: 'complete', remedy: null },
    ]);
  });

  it('of a role show every problem, each with its remedy and without secrets', () => {
    const env = {
      ...complete,
      VIBN_SLOTS: '0',
      VIBN_GCP_PROJECT: 'X',
      VIBN_INTERNAL_TOKEN: 'hunter2',
      VIBN_API_PORT: 'x',
    };
    const reader = settingsFindings('reader', env);
    expect(reader.map(({ verdict, fact }) => `${verdict} ${fact}`)).toEqual([
      'FAIL VIBN_SLOTS is "0": must be a whole number from 1 to 1000',
      'FAIL VIBN_INTERNAL_TOKEN: must be 32 to 256 visible ASCII characters, the same for the API and the reader',
      'FAIL VIBN_GCP_PROJECT is "X"; it must be a project id, e.g. "my-project-123".',
    ]);
    const api = settingsFindings('api', env);
    expect(api).toMatchObject([{ verdict: 'FAIL', fact: 'VIBN_API_PORT is "x"' }]);
    expect(JSON.stringify([reader, api])).not.toContain('hunter2');
    expect([...reader, ...api].every(({ remedy }) => remedy !== null)).toBe(true);
  });
});

describe('secrets', () => {
  const verdicts = (env: Env): string[] =>
    secretFindings({ ...complete, ...env }, ['api', 'controller', 'reader'])
      .filter(({ verdict }) => verdict !== 'ok')
      .map(({ verdict, what, fact }) => `${verdict} ${what} ${fact}`);

  it.each<[string, Env, string[]]>([
    ['are fine', {}, []],
    ['are missing', { VIBN_KEY_HMAC_SECRET: '' }, ['FAIL secrets: VIBN_KEY_HMAC_SECRET is not set']],
    [
      'may be missing where nothing seals yet',
      { VIBN_SECRETS_KEY: undefined },
      ['warn secrets: VIBN_SECRETS_KEY is not set: no secret can be sealed'],
    ],
    [
      'are short',
      { VIBN_INTERNAL_TOKEN: 'abc' },
      ['FAIL secrets: VIBN_INTERNAL_TOKEN has 3 characters of at least 32'],
    ],
    [
      'are weak',
      { VIBN_INTERNAL_TOKEN: 'changeme'.repeat(5) },
      ['FAIL secrets: VIBN_INTERNAL_TOKEN has only 7 different characters'],
    ],
    [
      'are no key',
      { VIBN_SECRETS_KEY: Buffer.alloc(31, 'x').toString('base64') },
      ['FAIL secrets: VIBN_SECRETS_KEY is not 32 bytes in base64'],
    ],
    [
      'are one secret twice',
      { VIBN_INTERNAL_TOKEN: complete['VIBN_KEY_HMAC_SECRET'] },
      ['FAIL secrets two of them are the same'],
    ],
  ])('%s', (_what, env, expected) => {
    expect(verdicts(env)).toEqual(expected);
  });

  it('are those of the roles asked for', () => {
    expect(secretFindings(complete, ['controller']).map(({ what }) => what)).toEqual(['secrets: VIBN_SECRETS_KEY']);
  });

  it('never show their values', () => {
    const shown = JSON.stringify(secretFindings({ ...complete, VIBN_INTERNAL_TOKEN: 'hunter2' }, ['api', 'reader']));
    expect(shown).not.toMatch(/hunter2|0123456789abcdef/);
  });
});

describe('the API alone', () => {
  it('must hold nothing of the roles that act', () => {
    const { DATABASE_URL_CONTROLLER: _c, VIBN_SECRETS_KEY: _s, ...own } = complete;
    expect(strayFindings(own)).toMatchObject([{ verdict: 'ok' }]);
    expect(strayFindings({ ...own, DATABASE_URL: 'postgres://o@db/v' })).toMatchObject([{ verdict: 'warn' }]);
    expect(strayFindings(complete)).toMatchObject([
      { verdict: 'FAIL', fact: 'DATABASE_URL_CONTROLLER, VIBN_SECRETS_KEY is set' },
    ]);
  });
});

describe('listeners', () => {
  const roles = ['api', 'controller', 'reader'] as const;
  it('that are asked from elsewhere must not be on loopback only', () => {
    const asked = { VIBN_URL: 'https://api.example', VIBN_READER_URL: 'http://reader:4410' };
    expect(listenerFindings(asked, roles).map(({ verdict, fact }) => `${verdict} ${fact}`)).toEqual([
      'warn api is asked at api.example but listens on 127.0.0.1 only',
      'warn reader is asked at reader but listens on 127.0.0.1 only',
    ]);
    expect(listenerFindings({ ...asked, VIBN_API_HOST: '0.0.0.0', VIBN_PRIVATE_HOST: '10.0.0.4' }, roles)).toEqual([]);
    expect(listenerFindings({ VIBN_URL: 'http://localhost:1', VIBN_READER_URL: 'http://127.0.0.1:2' }, roles)).toEqual(
      [],
    );
    expect(listenerFindings(asked, ['controller'])).toEqual([]);
  });
});

describe('proxies', () => {
  const local = { VIBN_GCS_ENDPOINT: 'http://127.0.0.1:4511' };
  it.each<[string, Env, 'ok' | 'warn']>([
    ['no proxy', local, 'ok'],
    ['a proxy before a loopback endpoint', { ...local, HTTP_PROXY: 'http://p' }, 'warn'],
    ['a proxy in small letters', { ...local, https_proxy: 'http://p' }, 'warn'],
    ['a proxy that spares the host', { ...local, HTTP_PROXY: 'http://p', NO_PROXY: 'x, 127.0.0.1' }, 'ok'],
    ['a proxy that spares the origin', { ...local, HTTP_PROXY: 'http://p', no_proxy: 'http://127.0.0.1:4511' }, 'ok'],
    ['"*", which the SDK does not know', { ...local, HTTP_PROXY: 'http://p', NO_PROXY: '*' }, 'warn'],
    ['a range, which the SDK does not know', { ...local, HTTP_PROXY: 'http://p', NO_PROXY: '127.0.0.0/8' }, 'warn'],
    ['a proxy before Google alone', { HTTPS_PROXY: 'http://p' }, 'ok'],
    ['a proxy before a reader on loopback', { VIBN_READER_URL: 'http://localhost:1', HTTPS_PROXY: 'http://p' }, 'warn'],
  ])('%s', (_what, env, verdict) => {
    expect(proxyFinding(env).verdict).toBe(verdict);
  });
});
