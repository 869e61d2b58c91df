import { expect, test } from 'vitest';
import { liveness } from '#test/simulation/suites/liveness.ts';
import { firstFailures, runSuite } from '#test/simulation/suites/suite.ts';

test('each kind is right within a minute, stays untouched for a day, and goes when asked', async () => {
  expect(firstFailures(await runSuite(liveness, [1]))).toEqual([]);
});
