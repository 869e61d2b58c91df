import { providerFaults } from '#test/simulation/effects.ts';
import type { Effect, Fault } from '#test/simulation/effects.ts';
import type { Scenario } from '#test/simulation/scenarios/scenario.ts';
import { describeRow, scenarios, subjectKey } from '#test/simulation/world.ts';
import type { World } from '#test/simulation/world.ts';
import {
  applies,
  begin,
  countCreates,
  countMutations,
  isParked,
  operations,
  stalledReason,
  withinMs,
} from './steps.ts';
import type { Operation } from './steps.ts';
import type { Suite } from './suite.ts';

/**
 * unknown outcome: every mutating call is lost, done without an answer, done late, done twice, answered with an error after it was done,
 * answered with garbage, refused, throttled. Nothing is there twice in the end, and nothing is called failed that was done.
 */
export const unknownOutcome: Suite = {
  name: 'unknown-outcome',
  async cases(seed) {
    const all: FaultCase[] = [];
    for (const scenario of scenarios) {
      for (const operation of operations.filter((one) => applies(scenario, one))) {
        all.push(...(await faultCases({ seed, scenario, operation })));
      }
    }
    return all.map((one) => ({
      id: `${one.scenario.title}/${one.operation}/${String(one.n)}:${one.fault}`,
      run: () => runCase(one),
    }));
  },
  mustHit: providerFaults.map((fault) => `fault:${fault}`),
};

interface FaultCase {
  readonly seed: number;
  readonly scenario: Scenario;
  readonly operation: Operation;
  readonly n: number;
  readonly fault: Fault;
}

const quietMs = 120_000;

async function faultCases(input: Pick<FaultCase, 'seed' | 'scenario' | 'operation'>): Promise<readonly FaultCase[]> {
  const { world, act, isDone } = await begin(input);

  const from = world.effects().length;
  await act();
  const done = await world.until(isDone, withinMs);
  world.close();
  if (!done) throw new Error(`without any fault: ${describeRow(world.agent, subjectKey(input.scenario))}`);
  const calls = world
    .effects()
    .slice(from)
    .filter((effect) => effect.door === 'provider' && effect.mutating);
  return calls.flatMap((call) =>
    providerFaults.filter((fault) => isFair(call, fault)).map((fault) => ({ ...input, n: call.n, fault })),
  );
}

/** What happens twice by itself, nobody can undo for a letter: no client could. */
function isFair({ op }: Effect, fault: Fault): boolean {
  return !(fault === 'twice' && op === 'tiny.letters.send');
}

async function runCase(one: FaultCase): Promise<World> {
  const { scenario, fault } = one;
  const { world, act, isDone } = await begin({ ...one, duplicatesAllowed: fault === 'twice' });
  const { agent, clouds } = world;
  try {
    const key = subjectKey(scenario);
    world.setFaults((effect) => (effect.n === one.n ? fault : null));
    await act();
    const uid = agent.row(key)?.uid ?? '';
    const mayPark = scenario.untraceable && !['refuse', 'throttle', 'slow'].includes(fault);
    const isOver = (): boolean => isDone() || (mayPark && isParked(world, key));
    let wronglyFailed: string | null = null;
    const look = (): boolean => {
      const reason = stalledReason(agent.row(key));
      if (reason !== null && !(mayPark && reason === 'NeedsDecision')) wronglyFailed = reason;
      return isOver();
    };
    if (!(await world.until(look, withinMs))) throw new Error(`O1: ${describeRow(agent, key)}`);
    if (wronglyFailed !== null) throw new Error(`said to have failed: ${String(wronglyFailed)}`);
    const before = countMutations(world);
    await world.run(quietMs);
    if (!isOver()) throw new Error(`O1: did not stay so: ${describeRow(agent, key)}`);
    if (countMutations(world) !== before) throw new Error('O9: the provider was changed after all was done');
    if (scenario.objects(clouds, { uid, ...key, status: {} }) > 1) throw new Error('O2: more than one object');
    if (scenario.sameCounts && countCreates(world) > scenario.needs.length + 1) throw new Error('O5: created twice');
    return world;
  } finally {
    world.close();
  }
}
