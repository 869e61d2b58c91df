import { hash32 } from '#hack/cloud/clock.ts';
import { forgetWorlds, worldsMade } from '#test/simulation/bare-world.ts';
import type { BareWorld } from '#test/simulation/bare-world.ts';

/** One suite of the world: cases that stand for themselves, each replayable by its id and seed. */
export interface Suite {
  readonly name: string;
  /** All cases for a seed, in a fixed order. */
  readonly cases: (seed: number) => Promise<readonly SuiteCase[]>;
  /** Names that `sometimes` must have counted over all cases: faults and branches that a run without them would not prove. */
  readonly mustHit: readonly string[];
}

export interface SuiteCase {
  /** e.g. "Token/create/33:late:7500" */
  readonly id: string;
  /** Throws what went wrong. */
  readonly run: () => Promise<unknown>;
}

export interface SuiteReport {
  readonly cases: number;
  readonly effects: number;
  readonly failures: readonly string[];
  /** Names of `mustHit` that were never counted. */
  readonly neverHit: readonly string[];
  /** How often each `sometimes` was counted, over all cases. */
  readonly counts: ReadonlyMap<string, number>;
  /** Hash of all effects of all worlds: the same seed gives the same. */
  readonly trace: string;
}

/** The command that runs one case again. */
export function replayLine(suite: string, seed: number, id: string): string {
  return `npm run sim -- --seed ${String(seed)} --suite ${suite} --case "${id}"`;
}

export interface RunOptions {
  /** Picks cases. */
  readonly only?: (id: string) => boolean;
  /** Prints the last effects and the log of each world. */
  readonly trace?: boolean;
  /** Called with each failure when it is found. */
  readonly onFailure?: (failure: string) => void;
}

/** Runs all cases of a suite for some seeds. */
export async function runSuite(
  suite: Suite,
  seeds: readonly number[],
  { only = () => true, trace = false, onFailure = () => undefined }: RunOptions = {},
): Promise<SuiteReport> {
  const failures: string[] = [];
  const counts = new Map<string, number>();
  let cases = 0;
  let effects = 0;
  let hash = 0;
  for (const seed of seeds) {
    for (const { id, run } of (await suite.cases(seed)).filter((one) => only(one.id))) {
      cases += 1;
      forgetWorlds();
      const failure = await run().then(
        () => null,
        (error: unknown) => textOf(error),
      );
      effects += worldsMade().reduce((sum, world) => sum + world.effects().length, 0);
      worldsMade().forEach((world) => addCounts(counts, world.counts()));
      for (const world of worldsMade()) hash = hash32(`${hash} ${world.traceHash()}`);
      if (trace) worldsMade().forEach(printTrace);
      if (failure === null) continue;
      failures.push(`${failure}\n  ${replayLine(suite.name, seed, id)}`);
      onFailure(failures.at(-1) ?? failure);
    }
  }
  forgetWorlds();
  const neverHit = suite.mustHit.filter((name) => !counts.has(name));
  return { cases, effects, failures, neverHit, counts, trace: hash.toString(16).padStart(8, '0') };
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

function addCounts(sum: Map<string, number>, counts: ReadonlyMap<string, number>): void {
  for (const [name, count] of counts) sum.set(name, (sum.get(name) ?? 0) + count);
}

/** How much of a world is printed. */
const tracedMax = 150;

function printTrace(world: BareWorld): void {
  const lines = world
    .effects()
    .slice(-tracedMax)
    .map(({ n, at, worker, op, subject, state, done }) => `${n} ${at} ${worker} ${op} ${subject} ${state} ${done}`);
  console.log([...lines, ...world.logged(), `trace ${world.traceHash()}`].join('\n'));
}

/** Failures to show: the first few, for the others are most often the same. */
export function firstFailures({ failures }: SuiteReport): readonly string[] {
  return failures.length <= 4 ? failures : [...failures.slice(0, 4), `and ${String(failures.length - 4)} more`];
}
