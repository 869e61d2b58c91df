import { describe, expect, test } from 'vitest';
import { scenarios } from './world.ts';
import { crashEverywhere } from '#test/simulation/suites/crash-everywhere.ts';
import { firstFailures, runSuite } from '#test/simulation/suites/suite.ts';

describe('crash everywhere', () => {
  test.each(scenarios.map(({ title }) => title))('%s converges from a crash at every effect', async (title) => {
    const report = await runSuite(crashEverywhere, [1], { only: (id) => id.startsWith(`${title}/`) });
    expect(firstFailures(report)).toEqual([]);
    expect(report.neverHit).toEqual([]);
    expect(report.cases).toBeGreaterThan(100);
  });
});
