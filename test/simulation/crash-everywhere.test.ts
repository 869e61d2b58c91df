import { describe, expect, test } from 'vitest';
import { scenarios } from './simulation.ts';
import { crashCases, replayLine, runCrashCase } from '#test/simulation/suites/crash-everywhere.ts';
import { applies, operations } from '#test/simulation/suites/steps.ts';

describe.each(scenarios.map((scenario) => [scenario.title, scenario] as const))(
  'crash everywhere: %s',
  (_title, scenario) => {
    test.each(operations.filter((operation) => applies(scenario, operation)))('%s', async (operation) => {
      const cases = await crashCases(scenario, operation);
      const failures: string[] = [];
      let effects = 0;
      for (const one of cases) {
        await runCrashCase(one).then(
          (count) => (effects += count),
          (error: unknown) => failures.push(`${String(error)}\n  ${replayLine(one)}`),
        );
      }
      console.log(`${scenario.title} ${operation}: ${cases.length} cuts, ${effects} effects`);
      expect(failures.slice(0, 3)).toEqual([]);
      expect(cases.length).toBeGreaterThan(10);
    });
  },
);
