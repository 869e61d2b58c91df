import type { Scenario } from '#test/simulation/scenarios/scenario.ts';
import { createWorld, scenarios, subjectKey } from '#test/simulation/world.ts';
import type { World } from '#test/simulation/world.ts';
import { isConverged, withinMs } from './steps.ts';
import type { Suite } from './suite.ts';

/** once: sent one time in 30 days of restarts and resyncs; then the row expires. */
export const once: Suite = {
  name: 'once',
  cases: async (seed) =>
    scenarios
      .filter((scenario) => scenario.kind === 'Letter')
      .map((scenario) => ({ id: scenario.title, run: () => runCase(seed, scenario) })),
  mustHit: ['once:expired'],
};

const dayMs = 86_400_000;
const awakeMs = 20 * 60_000;

async function runCase(seed: number, scenario: Scenario): Promise<World> {
  const world = createWorld({ seed });
  const { agent, clouds } = world;
  const key = subjectKey(scenario);
  try {
    await world.prepare(scenario);
    await agent.apply(key, scenario.sample);
    if (!(await world.until(() => isConverged(world, scenario, key), withinMs))) throw new Error('O1: not sent');
    for (let day = 1; day <= 30; day += 1) {
      await oneDay(world);
      if (day < 7 && agent.row(key) === null) throw new Error('the row went before its time');
    }
    if (agent.row(key) === null) world.sometimes('once:expired');
    if (clouds.tiny.letters.size !== 1) throw new Error(`O5: ${String(clouds.tiny.letters.size)} letters`);
    return world;
  } finally {
    world.close();
  }
}

/** A day: the controller restarts, looks at what is due, and is off for the rest of it. */
async function oneDay(world: World): Promise<void> {
  for (const worker of world.workers.slice()) world.crash(worker);
  world.timeline.advance(dayMs - awakeMs);
  world.startWorker(`w${String(world.timeline.elapsed())}`);
  await world.run(awakeMs);
}
