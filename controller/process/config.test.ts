import { describe, expect, it } from 'vitest';
import { readControllerConfig, readReaderConfig } from './config.ts';
import { ConfigError } from './env.ts';
import type { Env } from './env.ts';

const good: Env = {
  DATABASE_URL_CONTROLLER: 'postgres://vibn_controller:hunter2@127.0.0.1:5432/vibn',
  VIBN_INTERNAL_TOKEN: 'x'.repeat(32),
};
const registry = (): string => 'registry';

/** The problems of an environment. */
function problemsOf(env: Env, read: typeof readControllerConfig | typeof readReaderConfig = readControllerConfig) {
  try {
    read(env, registry);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  return new ConfigError([]);
}

describe('settings', () => {
  it('have defaults for all but the database', () => {
    expect(readControllerConfig(good, registry)).toMatchObject({
      logLevel: 'info',
      host: '127.0.0.1',
      port: 4411,
      buildId: null,
      database: { url: good['DATABASE_URL_CONTROLLER'], directUrl: good['DATABASE_URL_CONTROLLER'], connections: 10 },
      options: { engine: { slots: 128 }, gateway: { concurrency: 64, budgets: {} } },
      registry: 'registry',
    });
    expect(readReaderConfig(good, registry)).toMatchObject({ port: 4410, database: { connections: 4 } });
  });

  it('count an empty variable as unset', () => {
    expect(readControllerConfig({ ...good, VIBN_SLOTS: '', VIBN_RATE_GCS: ' ' }, registry).options.engine.slots).toBe(
      128,
    );
  });

  it('name all problems at once, each with its variable, what is allowed and what to do', () => {
    const { problems, message } = problemsOf(
      {
        DATABASE_URL_CONTROLLER: 'mysql://u:hunter2@h/d',
        DATABASE_URL_DIRECT: 'nonsense',
        VIBN_INTERNAL_TOKEN: 'hunter2',
        VIBN_LOG_LEVEL: 'loud',
        VIBN_READER_PORT: '70000',
        VIBN_SLOTS: '1e3',
        VIBN_DB_CONNECTIONS: '1',
        VIBN_PRIVATE_HOST: 'a b',
        VIBN_RATE_GCS: 'fast',
        VIBN_RATE_GCSS: '5',
        VIBN_CONCURRENCY_GCS: '0',
        VIBN_CONNECTIONS_OPENSRS: '11',
      },
      readReaderConfig,
    );
    expect(problems.map((one) => one.variable).toSorted()).toEqual([
      'DATABASE_URL_CONTROLLER',
      'DATABASE_URL_DIRECT',
      'VIBN_CONCURRENCY_GCS',
      'VIBN_CONNECTIONS_OPENSRS',
      'VIBN_DB_CONNECTIONS',
      'VIBN_INTERNAL_TOKEN',
      'VIBN_LOG_LEVEL',
      'VIBN_PRIVATE_HOST',
      'VIBN_RATE_GCS',
      'VIBN_RATE_GCSS',
      'VIBN_READER_PORT',
      'VIBN_SLOTS',
    ]);
    expect(message.split('\n')).toHaveLength(12);
    for (const one of problems) expect(`${one.allowed}`.length * one.remedy.length).toBeGreaterThan(0);
    expect(message).toContain('VIBN_LOG_LEVEL is "loud": must be one of debug, info, warn, error, silent.');
    expect(message).toContain('VIBN_RATE_GCS_BUCKETS');
  });

  it('never show a secret, right or wrong', () => {
    const env = { ...good, DATABASE_URL_DIRECT: 'hunter2', VIBN_INTERNAL_TOKEN: 'hunter2', VIBN_SLOTS: '0' };
    expect(problemsOf(env, readReaderConfig).message).toContain('VIBN_INTERNAL_TOKEN');
    expect(problemsOf(env, readReaderConfig).message).not.toContain('hunter2');
  });

  it('add the problem of the provider settings to the others', () => {
    const failing = (): never => {
      throw new Error('VIBN_GCP_PROJECT is ""; it must be a project id.');
    };
    expect(() => readControllerConfig({ ...good, VIBN_SLOTS: '0' }, failing)).toThrow(
      /VIBN_SLOTS is "0"[^]*VIBN_GCP_PROJECT: VIBN_GCP_PROJECT is ""; it must be a project id/,
    );
  });
});

describe('the database login', () => {
  it('follows from DATABASE_URL and the password of the roles', () => {
    const env = { DATABASE_URL: 'postgres://postgres:owner@db:5432/vibn', VIBN_DB_ROLE_PASSWORD: 'p@ss/word' };
    const { url } = readControllerConfig(env, registry).database;
    expect(url).toBe('postgres://vibn_controller:p%40ss%2Fword@db:5432/vibn');
  });

  it.each([{}, { DATABASE_URL: 'postgres://postgres:owner@db:5432/vibn' }, { VIBN_DB_ROLE_PASSWORD: 'p' }])(
    'is missed with the way to give it: %j',
    (env) => {
      expect(problemsOf(env).message).toContain('DATABASE_URL and VIBN_DB_ROLE_PASSWORD together');
    },
  );
});

describe('rates', () => {
  it.each([
    [{ VIBN_RATE_GCS: '5' }, 'gcs', { ratePerSecond: 5, burst: 10 }],
    [{ VIBN_RATE_GCS: '0.2' }, 'gcs', { ratePerSecond: 0.2, burst: 1 }],
    [{ VIBN_RATE_GCS_BUCKETS: '0.4/4' }, 'gcs:buckets', { ratePerSecond: 0.4, burst: 4 }],
    [{ VIBN_RATE_IAM_WRITES: '100/200' }, 'iam:writes', { ratePerSecond: 100, burst: 200 }],
  ])('of %j', (env, budget, expected) => {
    expect(readControllerConfig({ ...good, ...env }, registry).options.gateway.budgets).toEqual({ [budget]: expected });
  });

  it.each(['0', '-1', '5/', '5/0', 'x', '5 / 3', '100000'])('refuse %j', (value) => {
    expect(problemsOf({ ...good, VIBN_RATE_GCS: value }).problems).toHaveLength(1);
  });

  it('and limits of concurrency stand by provider', () => {
    const env = { ...good, VIBN_CONCURRENCY: '8', VIBN_CONCURRENCY_GCS: '4', VIBN_CONNECTIONS_OPENSRS: '2' };
    expect(readControllerConfig(env, registry).options.gateway).toMatchObject({
      concurrency: 8,
      concurrencyOf: { gcs: 4 },
      slotsOf: { opensrs: 2 },
    });
  });
});
