import type { Scenario } from '#test/simulation/scenarios/scenario.ts';
import { describeRow, scenarios, subjectKey } from '#test/simulation/world.ts';
import type { World } from '#test/simulation/world.ts';
import { applies, begin, countMutations, isBackground, isConverged, isRemoved, operations } from './steps.ts';
import { rowAt, stalledReason, withinMs } from './steps.ts';
import type { Begun, Operation } from './steps.ts';
import type { Suite } from './suite.ts';

/**
 * meanwhile: while a row is created, changed, repaired or removed, something else happens between two effects, at each of them: it is
 * edited or deleted, its object is changed or taken away outside. No plan of an older generation is carried out (the oracle plan = apply),
 * no edit is lost, and the end is what was declared last.
 */
export const meanwhile: Suite = {
  name: 'meanwhile',
  async cases(seed) {
    const all: MeanwhileCase[] = [];
    for (const scenario of scenarios) {
      for (const operation of operations.filter((one) => applies(scenario, one) && one !== 'create-delete')) {
        all.push(...(await casesOf({ seed, scenario, operation })));
      }
    }
    return all.map((one) => ({
      id: `${one.scenario.title}/${one.operation}/${String(one.n)}:${one.event}`,
      run: () => runCase(one),
    }));
  },
  mustHit: ['meanwhile:edit', 'meanwhile:delete', 'meanwhile:drift', 'meanwhile:gone'],
};

const events = ['edit', 'delete', 'drift', 'gone'] as const;
type Event = (typeof events)[number];

interface MeanwhileCase {
  readonly seed: number;
  readonly scenario: Scenario;
  readonly operation: Operation;
  readonly n: number;
  readonly event: Event;
}

/** Of all effects one in so many, by seed: as many seeds take each. */
const everyNth = 3;
const quietMs = 120_000;
/** What happens outside after the last look is found by the next resync. */
const resyncedMs = 2 * withinMs;

function fits({ update, drifts, destroy }: Scenario, operation: Operation, event: Event): boolean {
  switch (event) {
    case 'edit':
      return update !== null && operation !== 'delete';
    case 'delete':
      return operation !== 'delete';
    case 'drift':
      return drifts.length > 0;
    case 'gone':
      return destroy !== null;
  }
}

async function casesOf(input: Omit<MeanwhileCase, 'n' | 'event'>): Promise<readonly MeanwhileCase[]> {
  const { world, act, isDone } = await begin(input);
  const from = world.effects().length;
  await act();
  const done = await world.until(isDone, withinMs);
  world.close();
  if (!done) throw new Error(`undisturbed: ${describeRow(world.agent, subjectKey(input.scenario))}`);
  const effects = world
    .effects()
    .slice(from)
    .filter((effect) => !isBackground(effect) && effect.n % everyNth === input.seed % everyNth);
  return effects.flatMap(({ n }) =>
    events.filter((event) => fits(input.scenario, input.operation, event)).map((event) => ({ ...input, n, event })),
  );
}

async function runCase(one: MeanwhileCase): Promise<World> {
  const { scenario, n } = one;
  const begun = await begin(one);
  const { world, act } = begun;
  const { agent, clouds } = world;
  const key = subjectKey(scenario);
  try {
    await act();
    await world.until(() => world.effects().length >= n, withinMs);
    // The last effect of a deletion comes after its row.
    if (agent.row(key) === null && one.operation === 'delete') return world;
    const isOver = await happen(begun, one);
    if (!(await world.until(isOver, resyncedMs))) throw new Error(`O1: ${describeRow(agent, key)}`);
    const uid = agent.row(key)?.uid ?? '';
    const before = countMutations(world);
    await world.run(quietMs);
    if (!isOver()) throw new Error(`O1: did not stay so: ${describeRow(agent, key)}`);
    if (countMutations(world) !== before) throw new Error('O9: the provider was changed after all was done');
    if (scenario.objects(clouds, { uid, ...key, status: {} }) > 1) throw new Error('O2: more than one object');
    return world;
  } finally {
    world.close();
  }
}

/** Lets it happen. Answers how the end is told. */
async function happen({ world, isDone }: Begun, { scenario, operation, event }: MeanwhileCase): Promise<() => boolean> {
  const { agent, clouds } = world;
  const key = subjectKey(scenario);
  const row = rowAt(world, key);
  world.sometimes(`meanwhile:${event}`);
  switch (event) {
    case 'edit':
      // After an update the edit takes it back: what was on its way is no longer wanted.
      await agent.apply(key, operation === 'update' ? scenario.sample : (scenario.update ?? {}));
      return () => isConverged(world, scenario, key);
    case 'delete':
      await agent.remove(key);
      return () => isRemoved(world, scenario, row) && agent.row(key) === null;
    case 'drift':
      if (scenario.objects(clouds, row) > 0) scenario.drifts[0]?.mutate(clouds, row);
      return isDone;
    case 'gone':
      scenario.destroy?.(clouds, row);
      return () => isDone() || (scenario.whenGone === 'stalled' && stalledReason(agent.row(key)) === 'DeletedOutside');
  }
}
