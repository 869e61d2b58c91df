// Runs the suites of the simulated world by command: more seeds than `npm test` does, or one case again that failed.
//
//   npm run sim                                          every suite, seed 1
//   npm run sim -- --suite storm --seeds 100:300         seeds 100 to 399
//   npm run sim -- --seed 7 --suite storm --case "3 replicas" --trace

import { parseArgs } from 'node:util';
import { suites } from '#test/simulation/suites/all.ts';
import { runSuite } from '#test/simulation/suites/suite.ts';
import type { Suite } from '#test/simulation/suites/suite.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '1:1' },
    suite: { type: 'string' },
    case: { type: 'string' },
    /** Prints the last effects and the log of each case. */
    trace: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

/** "first:count", or one seed. Throws with what is allowed. */
function seedsOf(): number[] {
  const [first = '1', count = '1'] = (values.seed ?? values.seeds).split(':');
  const from = Number(first);
  const length = values.seed === undefined ? Number(count) : 1;
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(length) || length < 1) {
    throw new Error('--seed takes a whole number, --seeds "first:count", e.g. --seeds 1:2000');
  }
  return Array.from({ length }, (_, n) => from + n);
}

function chosen(): readonly Suite[] {
  if (values.suite === undefined) return suites;
  const found = suites.filter((suite) => suite.name === values.suite);
  if (found.length > 0) return found;
  throw new Error(`--suite ${values.suite} is unknown; use one of ${suites.map((suite) => suite.name).join(', ')}`);
}

/** A case that has failed is told at once: thousands of seeds take an hour. */
const onFailure = (failure: string): void => console.log(failure);

/** Runs a suite and prints what came of it. Answers how much is wrong. */
async function told(suite: Suite): Promise<number> {
  const started = performance.now();
  const only = (id: string): boolean => values.case === undefined || id === values.case;
  const report = await runSuite(suite, seedsOf(), { only, trace: values.trace, onFailure });
  const seconds = (performance.now() - started) / 1_000;
  const rate = Math.round(report.effects / seconds);
  console.log(
    `${suite.name}: ${report.cases} cases, ${report.effects} effects in ${seconds.toFixed(1)} s (${rate}/s), ${report.failures.length} failed, trace ${report.trace}`,
  );
  if (report.cases === 0) console.log(`no case "${values.case ?? ''}"`);
  // One seed or one case need not meet every fault.
  const isWhole = values.case === undefined && values.seed === undefined;
  if (!isWhole) return report.failures.length + (report.cases === 0 ? 1 : 0);
  const counts = [...report.counts].toSorted(([a], [b]) => (a < b ? -1 : 1));
  console.log(`  ${counts.map(([name, count]) => `${name} ${String(count)}`).join(', ')}`);
  if (report.neverHit.length > 0) console.log(`  never hit: ${report.neverHit.join(', ')}`);
  return report.failures.length + report.neverHit.length;
}

async function main(): Promise<number> {
  let failed = 0;
  for (const suite of chosen()) failed += await told(suite);
  return failed;
}

if (values.help) {
  console.log('npm run sim -- [--suite NAME] [--seed N | --seeds FIRST:COUNT] [--case ID] [--trace]');
  console.log(`suites: ${suites.map((suite) => suite.name).join(', ')}`);
} else {
  try {
    process.exitCode = (await main()) === 0 ? 0 : 1;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 2;
  }
}
