import { expect, test } from 'vitest';
import { once } from '#test/simulation/suites/once.ts';
import { driftMatrix, foreignObject } from '#test/simulation/suites/ownership.ts';
import { firstFailures, runSuite } from '#test/simulation/suites/suite.ts';
import { undelete } from '#test/simulation/suites/undelete.ts';

test.each([
  ['each managed field that was changed outside is repaired, each unmanaged one left alone', driftMatrix],
  ['a thing of somebody else under our name is named, not touched', foreignObject],
  ['a letter is sent once in thirty days', once],
  ['an undelete that is answered OK has destroyed nothing, at any point of the deletion', undelete],
] as const)('%s', async (_title, suite) => {
  const report = await runSuite(suite, [1]);
  expect(firstFailures(report)).toEqual([]);
  expect(report.neverHit).toEqual([]);
});
