import { describe, expect, it } from 'vitest';
import { readConfig } from './config.ts';

const good = {
  DATABASE_URL_API: 'postgres://vibn_api:x@db/vibn',
  DATABASE_URL_PLATFORM: 'postgres://vibn_platform:x@db/vibn',
  VIBN_KEY_HMAC_SECRET: 's'.repeat(32),
};

describe('the settings of the API', () => {
  it('listen on 127.0.0.1:4400 and have no reader unless told', () => {
    expect(readConfig(good)).toMatchObject({
      host: '127.0.0.1',
      port: 4_400,
      readerUrl: null,
      directUrl: good.DATABASE_URL_API,
      keyEnv: 'prod',
    });
  });

  it("take the logins from DATABASE_URL and the roles' password", () => {
    const env = {
      ...good,
      DATABASE_URL_API: '',
      DATABASE_URL: 'postgres://owner:o@db/vibn',
      VIBN_DB_ROLE_PASSWORD: 'p@ss',
    };
    expect(readConfig(env)).toMatchObject({ apiUrl: 'postgres://vibn_api:p%40ss@db/vibn' });
  });

  it('list every problem at once, each with what to do', () => {
    const config = readConfig({
      VIBN_API_PORT: 'x',
      VIBN_KEY_ENV: 'Prod',
      VIBN_READER_URL: 'reader:1',
      VIBN_LOG_LEVEL: 'loud',
      DATABASE_URL_DIRECT: 'mysql://x',
      VIBN_API_POOL_MAX: '0',
    });
    if (!('problems' in config)) throw new Error('accepted');
    const named = [
      'DATABASE_URL_API',
      'VIBN_API_PORT',
      'DATABASE_URL_PLATFORM',
      'DATABASE_URL_DIRECT',
      'VIBN_API_POOL_MAX',
      'VIBN_KEY_HMAC_SECRET',
      'VIBN_KEY_ENV',
      'VIBN_READER_URL',
      'VIBN_INTERNAL_TOKEN',
      'VIBN_LOG_LEVEL',
    ];
    for (const name of named) expect(config.problems.some((problem) => problem.startsWith(name))).toBe(true);
    expect(config.problems).toHaveLength(named.length);
  });

  it('never show a secret in a problem', () => {
    const config = readConfig({ ...good, DATABASE_URL_API: 'mysql://u:hunter2@db', VIBN_KEY_HMAC_SECRET: 'short' });
    expect(JSON.stringify(config)).not.toMatch(/hunter2|short"/);
  });
});
