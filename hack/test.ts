/**
 * `npm test` and `npm run check`: one command for everything, in the order of what fails fastest. Prints what failed, and ends with
 * a line `N passed, N failed`. What failed is said again right above that line: a log of thousands of lines is often kept only by its
 * end. Each static tool counts as one; each test as one. `--fast` leaves out what needs Postgres or the world.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
  /** What failed, a paragraph each. */
  readonly failures: string[];
}

interface TestResult {
  readonly status: string;
  readonly fullName: string;
  readonly failureMessages: readonly string[];
}

interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly message: string;
    readonly assertionResults: readonly TestResult[];
  }[];
}

/** Of each failure's text, as much as says where and why. */
const shownLines = 30;

const fast = process.argv.includes('--fast');
const bin = join(import.meta.dirname, '..', 'node_modules', '.bin');

/** Runs a tool of the project; resolves to its exit code (1 if it could not be started). */
function run(command: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    const path = `${bin}:${process.env['PATH'] ?? ''}`;
    const child = spawn(join(bin, command), args, { stdio: 'inherit', env: { ...process.env, PATH: path } });
    child.on('error', () => resolve(1));
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

async function tool(name: string, args: readonly string[], tally: Tally): Promise<void> {
  process.stdout.write(`\n▸ ${name} ${args.join(' ')}\n`);
  const code = await run(name, args);
  if (code === 0) {
    tally.passed += 1;
    return;
  }
  tally.failed += 1;
  tally.failures.push(`${name} ${args.join(' ')}: exit code ${code}`);
}

async function tests(project: string, tally: Tally): Promise<void> {
  process.stdout.write(`\n▸ vitest: ${project}\n`);
  const folder = mkdtempSync(join(tmpdir(), 'vibn-test-'));
  const file = join(folder, 'report.json');
  const code = await run('vitest', [
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${file}`,
  ]);
  const report = readReport(file);
  rmSync(folder, { recursive: true, force: true });
  tally.passed += report.numPassedTests;
  tally.skipped += report.numPendingTests;
  if (code === 0) return;
  // A file that can't be loaded has no failed test, and an error outside tests none either: both are failures.
  tally.failed += Math.max(report.numFailedTests, 1);
  tally.failures.push(`vitest: ${project}: exit code ${code}`, ...failuresOf(report));
}

/** What failed in a report: files that could not be loaded, and tests, each with the beginning of its text. */
function failuresOf(report: VitestReport): string[] {
  return report.testResults.flatMap((file) => {
    const whole = file.message === '' ? [] : [`${file.name}\n${beginning(file.message)}`];
    const failed = file.assertionResults.filter((test) => test.status === 'failed');
    const each = failed.map((test) => `${file.name} > ${test.fullName}\n${beginning(test.failureMessages.join('\n'))}`);
    return [...whole, ...each];
  });
}

function beginning(text: string): string {
  return text.split('\n').slice(0, shownLines).join('\n');
}

function readReport(file: string): VitestReport {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as VitestReport;
  } catch {
    return { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, testResults: [] };
  }
}

const tally: Tally = { passed: 0, failed: 0, skipped: 0, failures: [] };
await tool('oxfmt', ['--check', '.'], tally);
await tool('oxlint', ['--type-aware'], tally);
await tool('tsc', ['--noEmit', '-p', '.'], tally);
await tool('knip', [], tally);
const projects = fast ? ['unit'] : ['unit', 'database', 'pooled', 'process', 'simulation'];
for (const project of projects) await tests(project, tally);

for (const failure of tally.failures) process.stdout.write(`\nFAILED ${failure}\n`);
const skipped = tally.skipped > 0 ? `, ${tally.skipped} skipped` : '';
process.stdout.write(`\n${tally.passed} passed, ${tally.failed} failed${skipped}\n`);
process.exitCode = tally.failed === 0 ? 0 : 1;
