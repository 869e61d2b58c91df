import { expect, test } from 'vitest';
import { createWorld, scenarios, unsimulated } from './world.ts';

test('every registered kind has a scenario: a new one is in all suites, or fails here', () => {
  const world = createWorld({ seed: 1 });
  const simulated = new Set(scenarios.map((scenario) => scenario.kind));
  const missing = world.kinds.all
    .map((kind) => kind.name)
    .filter((name) => !simulated.has(name) && !unsimulated.has(name));
  world.close();
  expect(missing).toEqual([]);
});
