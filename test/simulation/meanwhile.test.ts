import { expect, test } from 'vitest';
import { meanwhile } from '#test/simulation/suites/meanwhile.ts';
import { firstFailures, runSuite } from '#test/simulation/suites/suite.ts';

// One effect in three; each of them: npm run sim -- --suite meanwhile --seeds 1:3
test('an edit, a deletion, a change or a loss outside, between any two effects, leaves what was declared last, by no stale plan', async () => {
  const report = await runSuite(meanwhile, [1]);
  expect(firstFailures(report)).toEqual([]);
  expect(report.neverHit).toEqual([]);
});
