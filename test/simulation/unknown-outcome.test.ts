import { expect, test } from 'vitest';
import { firstFailures, runSuite } from '#test/simulation/suites/suite.ts';
import { unknownOutcome } from '#test/simulation/suites/unknown-outcome.ts';

test('no call whose answer is lost, late, doubled or garbled leaves a duplicate or a false failure', async () => {
  const report = await runSuite(unknownOutcome, [1]);
  expect(firstFailures(report)).toEqual([]);
  expect(report.neverHit).toEqual([]);
});
