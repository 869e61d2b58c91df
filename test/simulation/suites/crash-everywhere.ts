import { providerCuts, storeCuts } from '#test/simulation/effects.ts';
import type { Cut, Effect } from '#test/simulation/effects.ts';
import { checkSecrets } from '#test/simulation/oracles.ts';
import type { Scenario } from '#test/simulation/scenarios/scenario.ts';
import { describeRow, scenarios, subjectKey } from '#test/simulation/world.ts';
import type { World } from '#test/simulation/world.ts';
import { applies, begin, countCreates, countMutations, isBackground, isParked, operations, withinMs } from './steps.ts';
import type { Operation } from './steps.ts';
import type { Suite } from './suite.ts';

/**
 * crash-everywhere (reliability.md): one worker is cut at every effect of an operation, in every way, and another starts after
 * nothing, half a lease, more than a lease. All must converge, or park where nobody can know; nothing twice, nothing left behind.
 */
export const crashEverywhere: Suite = {
  name: 'crash-everywhere',
  cases: async (seed) => {
    const known = found.get(seed) ?? findCases(seed);
    found.set(seed, known);
    return (await known).map((one) => ({ id: idOf(one), run: () => runCase(one) }));
  },
  mustHit: [...providerCuts, ...storeCuts].map((cut) => `cut:${cut}`),
};

/** By seed: a test file asks for them once a kind. */
const found = new Map<number, Promise<readonly CrashCase[]>>();

async function findCases(seed: number): Promise<readonly CrashCase[]> {
  const all: CrashCase[] = [];
  for (const scenario of scenarios) {
    for (const operation of operations.filter((one) => applies(scenario, one))) {
      all.push(...(await crashCases({ seed, scenario, operation })));
    }
  }
  return all;
}

interface CrashCase {
  readonly seed: number;
  readonly scenario: Scenario;
  readonly operation: Operation;
  readonly n: number;
  readonly cut: Cut;
  readonly restartAfterMs: number;
}

/** Nothing, half a lease, past the lease. */
export const restarts = [0, 7_500, 16_000] as const;
const quietMs = 120_000;

function idOf({ scenario, operation, n, cut, restartAfterMs }: CrashCase): string {
  return `${scenario.title}/${operation}/${String(n)}:${cut}:${String(restartAfterMs)}`;
}

/** All cases of an operation, from the effects of its run without a crash. */
async function crashCases(input: Pick<CrashCase, 'seed' | 'scenario' | 'operation'>): Promise<readonly CrashCase[]> {
  const { world, act, isDone } = await begin(input);
  const { agent } = world;
  const from = world.effects().length;
  await act();
  const done = await world.until(isDone, withinMs);
  world.close();
  if (!done) throw new Error(`without any crash: ${describeRow(agent, subjectKey(input.scenario))}`);
  return world
    .effects()
    .slice(from)
    .filter((effect) => !isBackground(effect))
    .flatMap((effect) => cutsOf(effect).map((cut) => ({ ...input, n: effect.n, cut })))
    .flatMap((one) => restarts.map((restartAfterMs) => ({ ...one, restartAfterMs })));
}

/** A read that is cut is a crash between two writes, wherever in it. */
export function cutsOf(effect: Effect): readonly Cut[] {
  if (!effect.mutating || effect.op === 'providers.takeTokens') return ['before-send'];
  return effect.door === 'provider' ? providerCuts : storeCuts;
}

async function runCase(one: CrashCase): Promise<World> {
  const { scenario } = one;
  const { world, act, isDone } = await begin(one);
  const { agent, clouds } = world;
  try {
    const key = subjectKey(scenario);
    world.cutAt(one.n, one.cut, one.restartAfterMs);
    await act();
    const uid = agent.row(key)?.uid ?? '';
    if (!(await world.until(() => world.wasCut(), withinMs))) throw new Error('the cut was never reached');
    const isOver = (): boolean => isDone() || (scenario.untraceable && isParked(world, key));
    if (!(await world.until(isOver, withinMs))) throw new Error(`O1: ${describeRow(agent, key)}`);
    const before = countMutations(world);
    await world.run(quietMs);
    if (!isOver()) throw new Error(`O1: did not stay so: ${describeRow(agent, key)}`);
    if (countMutations(world) !== before) throw new Error('O9: the provider was changed after all was done');
    const creates = countCreates(world);
    if (scenario.sameCounts && creates > scenario.needs.length + 1) throw new Error(`O5: ${String(creates)} creates`);
    if (scenario.objects(clouds, { uid, ...key, status: {} }) > 1) throw new Error('O2: more than one object');
    checkSecrets(world);
    return world;
  } finally {
    world.close();
  }
}
