import { expect, test } from 'vitest';
import { deleteBrake } from '#test/simulation/suites/brake.ts';
import { contradiction } from '#test/simulation/suites/contradiction.ts';
import { cannotKnow, falseEmpty, outage } from '#test/simulation/suites/outages.ts';
import { firstFailures, runSuite } from '#test/simulation/suites/suite.ts';

test.each([
  ['a provider that is down for half an hour is not hammered, and all heals when it is back', outage, [1, 2, 3]],
  ['false-empty answers re-create no more than the brake allows, and remove no row', falseEmpty, [1, 2, 3]],
  ['what cannot be known parks for a person, is not sent again, and ends by the decision', cannotKnow, [1]],
  [
    'what is deleted at once by three replicas goes no faster than the brake allows, and all of it goes',
    deleteBrake,
    [1, 2],
  ],
  ['what took effect after it was given up is never silent, and ends by a decision', contradiction, [1]],
] as const)('%s', async (_title, suite, seeds) => {
  const report = await runSuite(suite, seeds);
  expect(firstFailures(report)).toEqual([]);
  expect(report.neverHit).toEqual([]);
});
