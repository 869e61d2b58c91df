import { defineConfig } from 'vitest/config';
import { containerMissing, imageNamed } from './test/support/container-postgres.ts';
import { poolerMissing, poolerNamed } from './test/support/pooler/pooler.ts';

// Five projects: unit (memory only, beside the code), database (real Postgres and the local cloud), pooled (some of the same through a
// transaction pooler), process (real processes, killed and cut off), simulation (the world).
// Tests run the same type-stripped files as production.
const shared = {
  experimental: { viteModuleRunner: false },
  environment: 'node' as const,
};

// What the environment asks for and this machine does not have is skipped, and said.
const missing =
  (await containerMissing(imageNamed(process.env['VIBN_TEST_POSTGRES']))) ??
  (await poolerMissing(poolerNamed(process.env['VIBN_TEST_POOLER'])));
if (missing !== null) process.stderr.write(`\nSKIPPED: all tests that need Postgres. ${missing}\n\n`);
const onPostgres = (...files: string[]): object => ({
  include: missing === null ? files : [],
  globalSetup: ['./test/support/global-postgres.ts'],
  // In real time, on machines that others share. What fails twice fails; what fails once is said (retry x1).
  retry: 1,
});
const oneByOne = { testTimeout: 60_000, hookTimeout: 60_000, fileParallelism: false };

export default defineConfig({
  test: {
    passWithNoTests: missing !== null,
    projects: [
      {
        test: {
          ...shared,
          name: 'unit',
          // Memory only, and nothing is left in globals: one module graph for all files is 5 times as fast as one for each.
          isolate: false,
          include: ['{api,controller,hack,reconcilers,resources}/**/*.test.ts', 'test/*.test.ts'],
        },
      },
      {
        test: {
          ...shared,
          name: 'database',
          ...oneByOne,
          ...onPostgres('test/{database,e2e,regression}/**/*.test.ts'),
        },
      },
      {
        test: {
          ...shared,
          name: 'pooled',
          ...oneByOne,
          // A sample; all of it: VIBN_TEST_POOLER=swap vitest run --project database (or =pgbouncer).
          ...onPostgres(
            'test/database/{store-contract,resource-store,settle,rls,watch,api-postgres}.test.ts',
            'test/e2e/api-{main,rows,wait}.test.ts',
          ),
          env: { VIBN_TEST_POOLER: 'swap', VIBN_WATCH_CHANGES: '1000' },
        },
      },
      {
        test: {
          ...shared,
          name: 'process',
          ...onPostgres('test/process/**/*.test.ts'),
          // Each has several processes of its own: with four files at once on two cores, one in a hundred met a time that was not meant.
          maxWorkers: 2,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          ...shared,
          name: 'simulation',
          include: ['test/{simulation,conformance}/**/*.test.ts'],
          // Two even on two cores: each spends part of its time waiting for its own child processes.
          maxWorkers: 2,
          testTimeout: 120_000,
        },
      },
    ],
  },
});
