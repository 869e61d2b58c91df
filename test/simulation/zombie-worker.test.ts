import { expect, test } from 'vitest';
import { firstFailures, runSuite } from '#test/simulation/suites/suite.ts';
import { zombieWorker } from '#test/simulation/suites/zombie-worker.ts';

/** Of the variants of a kind one effect in three; all of it: npm run sim -- --suite zombie-worker */
function isSampled(id: string): boolean {
  return !id.startsWith('Bucket, ') || Number(/(\d+):/.exec(id)?.[1]) % 3 === 0;
}

test('a worker stopped past its lease at any effect does no harm when it wakes up', async () => {
  const report = await runSuite(zombieWorker, [1], { only: isSampled });
  expect(firstFailures(report)).toEqual([]);
  expect(report.neverHit).toEqual([]);
});
