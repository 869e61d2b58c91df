import { checkSecrets, tablesOf } from '#test/simulation/oracles.ts';
import type { Scenario } from '#test/simulation/scenarios/scenario.ts';
import { createWorld, describeRow, scenarios, subjectKey } from '#test/simulation/world.ts';
import type { World } from '#test/simulation/world.ts';
import { countMutations, isConverged, isRemoved, rowAt } from './steps.ts';
import type { Suite } from './suite.ts';

/**
 * liveness (ESR): after the last edit all is right within a minute, and then nothing is changed for 24 hours, nor looked at more often
 * than its resync says; a deletion ends.
 */
export const liveness: Suite = {
  name: 'liveness',
  cases: async (seed) => scenarios.map((scenario) => ({ id: scenario.title, run: () => runCase(seed, scenario) })),
  mustHit: [],
};

const rightWithinMs = 60_000;
const quietMs = 24 * 3_600_000;
/** Shortest resync is 10 min − 10 %, after which a row is due 5 min late: 14 min. */
const passesMax = Math.ceil(quietMs / (14 * 60_000));

async function runCase(seed: number, scenario: Scenario): Promise<World> {
  const world = createWorld({ seed });
  const { agent } = world;
  const key = subjectKey(scenario);
  try {
    await world.prepare(scenario);
    for (const spec of [scenario.sample, scenario.update]) {
      if (spec === null) continue;
      await agent.apply(key, spec);
      const right = await world.until(() => isConverged(world, scenario, key), rightWithinMs);
      if (!right) throw new Error(`O1: not right within a minute: ${describeRow(agent, key)}`);
    }
    const row = rowAt(world, key);
    await quiet();
    await agent.remove(key);
    const gone = await world.until(() => isRemoved(world, scenario, row), rightWithinMs * 3);
    if (!gone) throw new Error(`O1: not removed: ${describeRow(agent, key)}`);
    checkSecrets(world);
    return world;
  } finally {
    world.close();
  }

  async function quiet(): Promise<void> {
    const changes = countMutations(world);
    const versions = tablesOf(world)?.version;
    const rows = tablesOf(world)?.rows.size ?? 0;
    const from = world.effects().length;
    await world.run(quietMs);
    if (countMutations(world) !== changes) throw new Error('O9: something was changed in 24 quiet hours');
    if (tablesOf(world)?.version !== versions) throw new Error('O9: a row was rewritten in 24 quiet hours');
    const claims = world
      .effects()
      .slice(from)
      .filter((effect) => effect.op === 'engine.readRows').length;
    if (claims > passesMax * rows) throw new Error(`O9: ${String(claims)} passes in 24 quiet hours`);
  }
}
