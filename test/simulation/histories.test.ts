import { expect, test } from 'vitest';
import { flakyReads, laggyProvider, missedEvents, missedOne, staleReads } from '#test/simulation/suites/histories.ts';
import { lostWakes } from '#test/simulation/suites/lost-wakes.ts';
import { firstFailures, runSuite } from '#test/simulation/suites/suite.ts';

const seeds = (count: number): number[] => Array.from({ length: count }, (_, n) => n + 1);

// Each single wake-up: npm run sim -- --suite missed-one --seeds 1:10
// Status truth over 10,000 interleavings: npm run sim -- --suite lost-wakes --seeds 1:10000
test.each([
  ['stale reads delete nothing that was declared again', staleReads, 8],
  ['a provider that lags gets no duplicates, and Ready does not flap', laggyProvider, 4],
  ['lost, doubled and shuffled wake-ups change nothing but the time it takes', missedEvents, 1],
  ['one wake-up lost, or a few, changes nothing but the time it takes', missedOne, 1],
  [
    'no wake-up and no edit is lost while rows that need each other change, and nothing is shown as Ready that was not',
    lostWakes,
    60,
  ],
  ['reads that fail are not taken for absence', flakyReads, 4],
] as const)('%s', async (_title, suite, count) => {
  const report = await runSuite(suite, seeds(count));
  expect(firstFailures(report)).toEqual([]);
  expect(report.neverHit).toEqual([]);
});
