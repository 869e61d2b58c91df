import { describe, expect, test } from 'vitest';
import { scenarios } from './world.ts';
import { crashEverywhere } from '#test/simulation/suites/crash-everywhere.ts';
import { firstFailures, runSuite } from '#test/simulation/suites/suite.ts';

/** Variants of a kind restart after half a lease; all of it: npm run sim -- --suite crash-everywhere */
function isSampled(id: string): boolean {
  return !id.startsWith('Bucket, ') || id.endsWith(':7500');
}

describe('crash everywhere', () => {
  test.each(scenarios.map(({ title }) => title))('%s converges from a crash at every effect', async (title) => {
    const report = await runSuite(crashEverywhere, [1], { only: (id) => id.startsWith(`${title}/`) && isSampled(id) });
    expect(firstFailures(report)).toEqual([]);
    expect(report.neverHit).toEqual([]);
    expect(report.cases).toBeGreaterThan(100);
  });
});
