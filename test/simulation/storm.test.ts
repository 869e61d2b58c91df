import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { storm } from '#test/simulation/suites/storm.ts';
import { firstFailures, runSuite } from '#test/simulation/suites/suite.ts';

const run = promisify(execFile);

/** The trace of one storm in a process of its own. */
async function traceIn(env: Readonly<Record<string, string>>, seed: number): Promise<string> {
  const options = { env: { ...process.env, ...env } };
  const { stdout } = await run(process.execPath, ['hack/sim.ts', '--suite', 'storm', '--seed', String(seed)], options);
  return /trace ([0-9a-f]{8})/.exec(stdout)?.[1] ?? stdout;
}

// A sample; all 2,000 seeds of reliability.md: npm run sim -- --suite storm --seeds 1:2000
describe('seeded storm', () => {
  test('three replicas converge from faults, crashes, pauses, edits and drift, and claim nothing untrue on the way', async () => {
    const seeds = Array.from({ length: 15 }, (_, n) => n + 1);
    const report = await runSuite(storm, seeds);
    expect(firstFailures(report)).toEqual([]);
    expect(report.neverHit).toEqual([]);
    expect(report.counts.get('storm:read')).toBeGreaterThan(10_000);
  });

  test('a seed is the same storm in another process, time zone and locale', async () => {
    const here = (await runSuite(storm, [5])).trace;
    const kathmandu = await traceIn({ TZ: 'Asia/Kathmandu', LC_ALL: 'tr_TR.UTF-8', LANG: 'tr_TR.UTF-8' }, 5);
    const chatham = await traceIn({ TZ: 'Pacific/Chatham', LC_ALL: 'C', LANG: 'C' }, 5);
    expect([kathmandu, chatham]).toEqual([here, here]);
    expect((await runSuite(storm, [6])).trace).not.toBe(here);
  });
});
