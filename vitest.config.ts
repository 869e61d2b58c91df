import { defineConfig } from 'vitest/config';

// Three projects: unit (memory only, beside the code), database (real Postgres and the local cloud), simulation (the world).
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
          include: ['test/{database,e2e,process,regression}/**/*.test.ts'],
          globalSetup: ['./test/support/global-postgres.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
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
