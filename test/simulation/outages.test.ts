import { expect, test } from 'vitest';
import { cannotKnow, falseEmpty, outage } from '#test/simulation/suites/outages.ts';
import { firstFailures, runSuite } from '#test/simulation/suites/suite.ts';

test.each([
  ['a provider that is down for half an hour is not hammered, and all heals when it is back', outage],
  ['false-empty answers re-create no more than the brake allows, and remove no row', falseEmpty],
  ['what cannot be known parks for a person, is not sent again, and ends by the decision', cannotKnow],
] as const)('%s', async (_title, suite) => {
  const report = await runSuite(suite, [1, 2, 3]);
  expect(firstFailures(report)).toEqual([]);
  expect(report.neverHit).toEqual([]);
});
