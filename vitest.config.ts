import { defineConfig } from 'vitest/config';

// Four projects: unit (memory only, beside the code), database (real Postgres and the local cloud), process (real processes, killed and
// cut off), simulation (the world).
// Tests run the same type-stripped files as production.
const shared = {
  experimental: { viteModuleRunner: false },
  environment: 'node' as const,
};

export default defineConfig({
  test: {
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
          include: ['test/{database,e2e,regression}/**/*.test.ts'],
          globalSetup: ['./test/support/global-postgres.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          ...shared,
          name: 'process',
          include: ['test/process/**/*.test.ts'],
          globalSetup: ['./test/support/global-postgres.ts'],
          // More than there are cores: they wait for leases to lapse, for outages to end and for processes to start.
          maxWorkers: 4,
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
