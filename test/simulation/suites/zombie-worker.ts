import { seeded } from '#test/simulation/random.ts';
import type { Scenario } from '#test/simulation/scenarios/scenario.ts';
import { describeRow, scenarios, subjectKey } from '#test/simulation/world.ts';
import type { World } from '#test/simulation/world.ts';
import { applies, begin, countCreates, countMutations, isBackground, isParked, operations, withinMs } from './steps.ts';
import type { Operation } from './steps.ts';
import type { Suite } from './suite.ts';

/**
 * zombie worker: stopped at every effect for longer than its lease, while a second one takes over and finishes; then resumed. No write of
 * the old epoch is accepted, no call is begun without the lease (O7), and the end is the same.
 */
export const zombieWorker: Suite = {
  name: 'zombie-worker',
  async cases(seed) {
    const all: ZombieCase[] = [];
    for (const scenario of scenarios) {
      for (const operation of operations.filter((one) => applies(scenario, one))) {
        all.push(...(await zombieCases({ seed, scenario, operation })));
      }
    }
    return all.map((one) => ({
      id: `${one.scenario.title}/${one.operation}/${String(one.n)}:${one.unsent ? 'unsent' : 'sent'}`,
      run: () => runCase(one),
    }));
  },
  mustHit: ['zombie:resumed', 'zombie:finished-by-other'],
};

interface ZombieCase {
  readonly seed: number;
  readonly scenario: Scenario;
  readonly operation: Operation;
  readonly n: number;
  /** Stopped before what it had issued to the store left it: the old epoch's write comes when it wakes up. */
  readonly unsent: boolean;
}

async function zombieCases(input: Omit<ZombieCase, 'n' | 'unsent'>): Promise<readonly ZombieCase[]> {
  const { world, act, isDone } = await begin(input);

  const from = world.effects().length;
  await act();
  await world.until(isDone, withinMs);
  world.close();
  const effects = world
    .effects()
    .slice(from)
    .filter((effect) => !isBackground(effect));
  return effects.flatMap(({ n, door }) => [
    { ...input, n, unsent: false },
    ...(door === 'store' ? [{ ...input, n, unsent: true }] : []),
  ]);
}

async function runCase(one: ZombieCase): Promise<World> {
  const { scenario } = one;
  const { world, act, isDone } = await begin(one);
  const { agent, clouds } = world;
  try {
    const key = subjectKey(scenario);
    const zombie = world.workers[0];
    if (zombie === undefined) throw new Error('there is no worker');
    world.onIssue((effect) => {
      if (effect.n === one.n) zombie.life.pause(one.unsent);
    });
    await act();
    const uid = agent.row(key)?.uid ?? '';
    await world.until(() => zombie.life.state() === 'paused', withinMs);
    world.startWorker('w2');
    const isOver = (): boolean => isDone() || (scenario.untraceable && isParked(world, key));
    // Sometimes the old one wakes up while the other is at work, sometimes long after it.
    const sleepMs = seeded(one.seed, String(one.n)).pick([20_000, 45_000, withinMs]);
    if (await world.until(isOver, sleepMs)) world.sometimes('zombie:finished-by-other');
    zombie.life.resume();
    world.sometimes('zombie:resumed');
    if (!(await world.until(isOver, withinMs))) throw new Error(`O1: ${describeRow(agent, key)}`);
    await world.run(120_000);
    const before = countMutations(world);
    await world.run(120_000);
    if (!isOver()) throw new Error(`O1: did not stay so: ${describeRow(agent, key)}`);
    if (countMutations(world) !== before) throw new Error('O9: the provider was changed after all was done');
    if (scenario.objects(clouds, { uid, ...key, status: {} }) > 1) throw new Error('O2: more than one object');
    if (scenario.sameCounts && countCreates(world) > scenario.needs.length + 1) throw new Error('O5: created twice');
    return world;
  } finally {
    world.close();
  }
}
