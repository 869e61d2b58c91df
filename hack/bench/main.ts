// `npm run bench`: the speed of the whole operator beside references of the same run.
//
//   npm run bench                        every bench
//   npm run bench -- --quick             a small version of each
//   npm run bench -- passes-unchanged    one or some, by name
//   npm run bench -- -o json             for programs
//
// Postgres is started for the run with durable settings and stopped at its end; DATABASE_URL names another one.

import { parseArgs } from 'node:util';
import { apply } from './apply.ts';
import { applyAll } from './apply-all.ts';
import type { Bench } from './bench.ts';
import type { RoleInput } from './child.ts';
import { firstCall } from './first-call.ts';
import { graphile } from './graphile.ts';
import { memory } from './memory.ts';
import { passesChanging, passesUnchanged } from './passes.ts';
import { loadText, tableOf } from './report.ts';
import type { Result } from './report.ts';
import { runRole } from './roles.ts';
import { startBenchServer } from './server.ts';
import { waits } from './waits.ts';

const benches: readonly Bench[] = [
  passesUnchanged,
  passesChanging,
  graphile,
  apply,
  applyAll,
  firstCall,
  memory,
  waits,
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    output: { type: 'string', short: 'o', default: 'table' },
    /** How this program starts the processes it measures. */
    role: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

function chosen(): readonly Bench[] {
  const unknown = positionals.filter((name) => !benches.some((bench) => bench.name === name));
  if (unknown.length === 0)
    return positionals.length === 0 ? benches : benches.filter((one) => positionals.includes(one.name));
  throw new Error(`${unknown.join(', ')}: no such bench; use ${benches.map((bench) => bench.name).join(', ')}`);
}

async function runAll(some: readonly Bench[]): Promise<readonly Result[]> {
  const server = await startBenchServer();
  const results: Result[] = [];
  try {
    process.stderr.write(`${server.about}\n`);
    for (const bench of some) {
      const note = (text: string): void => void process.stderr.write(`  ${bench.name}: ${text}\n`);
      const before = loadText();
      const outcome = await bench.run({ quick: values.quick, server, note });
      results.push({
        bench: bench.name,
        about: bench.about,
        load: `${before} → ${loadText()}`,
        server: server.about,
        outcome,
      });
    }
  } finally {
    await server.stop();
  }
  return results;
}

function help(): void {
  console.log('npm run bench -- [--quick] [-o table|json] [NAME …]');
  for (const { name, about } of benches) console.log(`  ${name.padEnd(20)} ${about}`);
}

try {
  if (!['table', 'json'].includes(values.output)) throw new Error('-o takes "table" or "json"');
  if (values.role !== undefined) await runRole(JSON.parse(values.role) as RoleInput);
  else if (values.help) help();
  else {
    const results = await runAll(chosen());
    console.log(values.output === 'json' ? JSON.stringify(results, null, 2) : tableOf(results));
  }
} catch (error) {
  console.error(error instanceof Error ? (error.stack ?? error.message) : error);
  process.exitCode = 1;
}
