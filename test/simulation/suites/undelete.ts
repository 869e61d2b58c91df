import { ApiError } from '#resources/errors.ts';
import type { Scenario } from '#test/simulation/scenarios/scenario.ts';
import { describeRow, scenarios, subjectKey } from '#test/simulation/world.ts';
import type { World } from '#test/simulation/world.ts';
import { begin, countMutations, isConverged, isRemoved, rowAt, withinMs } from './steps.ts';
import type { Suite } from './suite.ts';

/** delete and undelete: asked for at every effect of a deletion. Answered OK, nothing was destroyed; refused, the deletion ends. */
export const undelete: Suite = {
  name: 'undelete',
  async cases(seed) {
    const all = [];
    // A finished once row is not undone by its deletion, and a parent's children are deletions of their own.
    for (const scenario of scenarios.filter((one) => one.kind !== 'Letter')) {
      const { world, act, isDone } = await begin({ seed, scenario, operation: 'delete' });

      const from = world.effects().length;
      await act();
      await world.until(isDone, withinMs);
      world.close();
      for (const { n } of world.effects().slice(from)) {
        all.push({ id: `${scenario.title}/${String(n)}`, run: () => runCase({ seed, scenario, n }) });
      }
    }
    return all;
  },
  mustHit: ['undelete:ok', 'undelete:refused', 'undelete:gone'],
};

async function runCase({ seed, scenario, n }: { seed: number; scenario: Scenario; n: number }): Promise<World> {
  const { world, act } = await begin({ seed, scenario, operation: 'delete' });
  const { agent, clouds } = world;
  const key = subjectKey(scenario);
  try {
    const row = rowAt(world, key);
    const before = countMutations(world);
    const objects = scenario.objects(clouds, row);
    const data = scenario.data?.count(clouds, row);
    if (data === 0) throw new Error('nothing is there to be destroyed');
    await act();
    await world.until(() => world.effects().length >= n, withinMs);
    const answer = await agent.undelete(key).then(
      () => 'ok' as const,
      (error: unknown) => codeOf(error),
    );
    if (answer === 'NOT_FOUND') {
      world.sometimes('undelete:gone');
      return world;
    }
    if (answer === 'PRECONDITION_FAILED') {
      world.sometimes('undelete:refused');
      if (await world.until(() => isRemoved(world, scenario, row), withinMs)) return world;
      throw new Error(`O1: refused, and not removed: ${describeRow(agent, key)}`);
    }
    if (answer !== 'ok') throw new Error(`undelete answered ${answer}`);
    world.sometimes('undelete:ok');
    // A parent gives its children up before the point of no return of its own; they come back.
    const isParent = scenario.kind === 'Fleet';
    if (!isParent && scenario.objects(clouds, row) !== objects) throw new Error('answered OK, and the object was gone');
    if (scenario.data?.count(clouds, row) !== data) throw new Error('answered OK, and data was gone');
    if (!(await world.until(() => isConverged(world, scenario, key), withinMs)))
      throw new Error(`O1: ${describeRow(agent, key)}`);
    await world.run(120_000);
    if (!isParent && countMutations(world) !== before) throw new Error('answered OK, and something was changed');
    if (scenario.data?.count(clouds, row) !== data) throw new Error('answered OK, and data went afterwards');
    if (agent.row(key)?.uid !== row.uid) throw new Error('the row is another one');
    return world;
  } finally {
    world.close();
  }
}

function codeOf(error: unknown): string {
  return error instanceof ApiError ? error.data.code : String(error);
}
