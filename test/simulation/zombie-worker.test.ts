import { expect, test } from 'vitest';
import { firstFailures, runSuite } from '#test/simulation/suites/suite.ts';
import { zombieWorker } from '#test/simulation/suites/zombie-worker.ts';

test('a worker stopped past its lease at any effect does no harm when it wakes up', async () => {
  const report = await runSuite(zombieWorker, [1]);
  expect(firstFailures(report)).toEqual([]);
  expect(report.neverHit).toEqual([]);
});
