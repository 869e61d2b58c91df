import type { World } from '#test/simulation/world.ts';

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
  readonly run: () => Promise<World>;
}

export interface SuiteReport {
  readonly cases: number;
  readonly effects: number;
  readonly failures: readonly string[];
  /** Names of `mustHit` that were never counted. */
  readonly neverHit: readonly string[];
}

/** The command that runs one case again. */
export function replayLine(suite: string, seed: number, id: string): string {
  return `npm run sim -- --seed ${String(seed)} --suite ${suite} --case "${id}"`;
}

/** Runs all cases of a suite for some seeds; `only` picks ids. */
export async function runSuite(
  suite: Suite,
  seeds: readonly number[],
  only: (id: string) => boolean = () => true,
): Promise<SuiteReport> {
  const failures: string[] = [];
  const counts = new Map<string, number>();
  let cases = 0;
  let effects = 0;
  for (const seed of seeds) {
    for (const one of (await suite.cases(seed)).filter(({ id }) => only(id))) {
      cases += 1;
      try {
        const world = await one.run();
        effects += world.effects().length;
        for (const [name, count] of world.counts()) counts.set(name, (counts.get(name) ?? 0) + count);
      } catch (error) {
        failures.push(
          `${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}\n  ${replayLine(suite.name, seed, one.id)}`,
        );
      }
    }
  }
  const neverHit = suite.mustHit.filter((name) => !counts.has(name));
  return { cases, effects, failures, neverHit };
}

/** Failures to show: the first few, for the others are most often the same. */
export function firstFailures({ failures }: SuiteReport): readonly string[] {
  return failures.length <= 4 ? failures : [...failures.slice(0, 4), `and ${String(failures.length - 4)} more`];
}
