import { expect, test } from 'vitest';
import { crowd } from '#test/simulation/suites/crowd.ts';
import { firstFailures, runSuite } from '#test/simulation/suites/suite.ts';

// A sample; the figures of reliability.md, each case by itself: VIBN_SIM_ROWS=10000 npm run sim -- --suite crowd --case outage
test('many rows heal from an outage at the rate, go before what is routine, and are held up by no poison, credential or replay', async () => {
  const report = await runSuite(crowd, [1]);
  expect(firstFailures(report)).toEqual([]);
  expect(report.neverHit).toEqual([]);
});
