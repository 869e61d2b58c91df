import { parseArgs } from 'node:util';
import { apply } from './apply.ts';
import { applyAll } from './apply-all.ts';
import type { Bench } from './bench.ts';
import { firstCall } from './first-call.ts';
import { graphile } from './graphile.ts';
import { memory } from './memory.ts';
import { passesChanging, passesUnchanged } from './passes.ts';
import { loadText, tableOf } from './report.ts';
import type { Result } from './report.ts';
import { startBenchServer } from './server.ts';
import { neighbours } from './neighbours.ts';
import { waits } from './waits.ts';

const benches: readonly Bench[] = [
  passesUnchanged,
  passesChanging,
  graphile,
  apply,
  applyAll,
  firstCall,
  memory,
  neighbours,
  waits,
];

function chosen(positionals: readonly string[]): readonly Bench[] {
  const unknown = positionals.filter((name) => !benches.some((bench) => bench.name === name));
  if (unknown.length === 0)
    return positionals.length === 0 ? benches : benches.filter((one) => positionals.includes(one.name));
  throw new Error(`${unknown.join(', ')}: no such bench; use ${benches.map((bench) => bench.name).join(', ')}`);
}

async function runAll(some: readonly Bench[], quick: boolean): Promise<readonly Result[]> {
  const server = await startBenchServer();
  const results: Result[] = [];
  try {
    process.stderr.write(`${server.about}\n`);
    for (const bench of some) {
      const note = (text: string): void => void process.stderr.write(`  ${bench.name}: ${text}\n`);
      const before = loadText();
      const outcome = await bench.run({ quick, server, note });
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

async function carryOut(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      output: { type: 'string', short: 'o', default: 'table' },
      help: { type: 'boolean', default: false },
    },
  });
  if (!['table', 'json'].includes(values.output)) throw new Error('-o takes "table" or "json"');
  if (values.help) return help();
  const results = await runAll(chosen(positionals), values.quick);
  console.log(values.output === 'json' ? JSON.stringify(results, null, 2) : tableOf(results));
}

/** Runs the benches that the arguments name, and ends the process: whatever a bench that failed left running ends with it. */
export async function run(args: string[]): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  try {
    await carryOut(args);
    process.exit(0);
  } catch (error) {
    console.error(error instanceof Error ? (error.stack ?? error.message) : error);
    process.exit(1);
  }
}
