import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { chooseSubject, databaseUrls, loginsOf, roleNames } from './environment.ts';

const dataDir = mkdtempSync(join(tmpdir(), 'vibn-doctor-'));
afterAll(() => rmSync(dataDir, { recursive: true }));

describe('what is looked at', () => {
  it('is the environment where there is no npm start', async () => {
    const subject = await chooseSubject({ VIBN_DATA_DIR: join(dataDir, 'none') }, roleNames);
    expect(subject).toMatchObject({ local: false, env: { VIBN_DATA_DIR: join(dataDir, 'none') } });
  });

  it('is the npm start of the data directory, unless the environment is a production’s', async () => {
    const secrets = {
      postgresPassword: 'p',
      rolePasswords: { vibn_api: 'r', vibn_platform: 'r', vibn_controller: 'r' },
      internalToken: 'i',
      keyHmacSecret: 'h',
      secretsKey: 's',
    };
    writeFileSync(join(dataDir, 'secrets.json'), JSON.stringify(secrets));
    const env = { VIBN_DATA_DIR: dataDir, VIBN_PG_PORT: '5001', VIBN_CLOUD_PORT: '5100' };
    expect(await chooseSubject(env, roleNames)).toMatchObject({
      local: true,
      env: {
        DATABASE_URL: 'postgres://postgres:p@127.0.0.1:5001/vibn',
        DATABASE_URL_API: 'postgres://vibn_api:r@127.0.0.1:5001/vibn',
        VIBN_GCS_ENDPOINT: 'http://127.0.0.1:5111',
        VIBN_INTERNAL_TOKEN: 'i',
      },
    });
    const production = { ...env, DATABASE_URL_API: 'postgres://vibn_api:x@db/vibn' };
    expect(await chooseSubject(production, roleNames)).toMatchObject({ local: false, env: production });
  });
});

describe('database URLs', () => {
  it('are each login’s own, or the owner’s with user and password replaced', () => {
    const env = {
      DATABASE_URL: 'postgres://owner:o@db:5432/vibn',
      VIBN_DB_ROLE_PASSWORD: 'p',
      DATABASE_URL_PLATFORM: 'postgres://vibn_platform:q@pool:6432/vibn',
    };
    expect(databaseUrls(env)).toEqual({
      owner: 'postgres://owner:o@db:5432/vibn',
      logins: {
        vibn_api: 'postgres://vibn_api:p@db:5432/vibn',
        vibn_platform: 'postgres://vibn_platform:q@pool:6432/vibn',
        vibn_controller: 'postgres://vibn_controller:p@db:5432/vibn',
      },
      direct: 'postgres://vibn_controller:p@db:5432/vibn',
    });
  });

  it('are null where the settings do not say, and a direct one goes before the login’s', () => {
    const none = { vibn_api: null, vibn_platform: null, vibn_controller: null };
    expect(databaseUrls({ DATABASE_URL: 'mysql://x/y' })).toEqual({ owner: null, logins: none, direct: null });
    expect(databaseUrls({ DATABASE_URL: 'postgres://o@db/v' }).logins).toEqual(none);
    const direct = 'postgres://vibn_api:p@db/v';
    expect(databaseUrls({ DATABASE_URL_API: 'postgres://vibn_api:p@pool/v', DATABASE_URL_DIRECT: direct }).direct).toBe(
      direct,
    );
  });

  it('are asked for the logins of the roles alone', () => {
    expect(loginsOf(['api'])).toEqual(['vibn_api', 'vibn_platform']);
    expect(loginsOf(['reader'])).toEqual(['vibn_controller']);
    expect(loginsOf(roleNames)).toEqual(['vibn_api', 'vibn_platform', 'vibn_controller']);
  });
});
