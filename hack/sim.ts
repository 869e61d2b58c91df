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

async function main(): Promise<number> {
  let failed = 0;
  for (const suite of chosen()) {
    const started = performance.now();
    const only = (id: string): boolean => values.case === undefined || id === values.case;
    const report = await runSuite(suite, seedsOf(), { only, trace: values.trace });
    const seconds = (performance.now() - started) / 1_000;
    const rate = Math.round(report.effects / seconds);
    console.log(
      `${suite.name}: ${report.cases} cases, ${report.effects} effects in ${seconds.toFixed(1)} s (${rate}/s), ${report.failures.length} failed, trace ${report.trace}`,
    );
    for (const failure of report.failures) console.log(failure);
    if (report.cases === 0) console.log(`no case "${values.case ?? ''}"`);
    failed += report.failures.length + (report.cases === 0 ? 1 : 0);
  }
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
