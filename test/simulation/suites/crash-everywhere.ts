import { providerCuts, storeCuts } from '#test/simulation/effects.ts';
import type { Cut, Effect } from '#test/simulation/effects.ts';
import { checkSecrets } from '#test/simulation/oracles.ts';
import type { Scenario } from '#test/simulation/scenarios/scenario.ts';
import { createSimulation, describeRow, subjectKey } from '#test/simulation/simulation.ts';
import type { Simulation } from '#test/simulation/simulation.ts';
import { isConverged, isParked, isRemoved, rowAt, wakeNow } from './steps.ts';
import type { Operation } from './steps.ts';

/**
 * crash-everywhere (reliability.md): one worker is cut at every effect of an operation, in every way, and another starts after
 * nothing, half a lease, more than a lease. All must converge, or park where nobody can know; nothing twice, nothing left behind.
 */
export interface CrashCase {
  readonly scenario: Scenario;
  readonly operation: Operation;
  readonly n: number;
  readonly cut: Cut;
  readonly restartAfterMs: number;
}

/** Nothing, half a lease, past the lease. */
export const restarts = [0, 7_500, 16_000] as const;
const seed = 1;
/** Longest until a row converged or parked: 15 min and a poll. */
const withinMs = 16 * 60_000;
const quietMs = 120_000;

/** Effects of background loops, the same before and after: a crash there is a crash between passes. */
const background =
  /^(replays\.|providers\.providers|engine\.(drainingShards|sweep|registerEngine|dueShards|nextDueInMs|fire|drain)$)/;

/** All cases of an operation, from the effects of its run without a crash. */
export async function crashCases(scenario: Scenario, operation: Operation): Promise<readonly CrashCase[]> {
  const run = await begin(scenario, operation);
  const from = run.simulation.world.effects().length;
  await run.act();
  const done = await run.simulation.world.until(run.isDone, withinMs);
  const effects = run.simulation.world.effects().slice(from);
  const described = describeRow(run.simulation.agent, subjectKey(scenario));
  run.simulation.world.close();
  if (!done) throw new Error(`without any crash: ${described}`);
  return effects
    .filter((effect) => !background.test(effect.op))
    .flatMap((effect) => cutsOf(effect).map((cut) => ({ scenario, operation, n: effect.n, cut })))
    .flatMap((one) => restarts.map((restartAfterMs) => ({ ...one, restartAfterMs })));
}

/** A read that is cut is a crash between two writes, wherever in it. */
function cutsOf(effect: Effect): readonly Cut[] {
  if (!effect.mutating || effect.op === 'providers.takeTokens') return ['before-send'];
  return effect.door === 'provider' ? providerCuts : storeCuts;
}

/** Runs one case. Throws what went wrong. Answers how many effects it took. */
export async function runCrashCase(one: CrashCase): Promise<number> {
  const { scenario, operation } = one;
  const { simulation, act, isDone } = await begin(scenario, operation);
  const { world, agent, clouds } = simulation;
  try {
    const key = subjectKey(scenario);
    world.cutAt(one.n, one.cut, one.restartAfterMs);
    await act();
    const uid = agent.row(key)?.uid ?? '';
    if (!(await world.until(() => world.wasCut(), withinMs))) throw new Error('the cut was never reached');
    const isOver = (): boolean => isDone() || (scenario.untraceable && isParked(simulation, key));
    if (!(await world.until(isOver, withinMs))) throw new Error(`O1: ${describeRow(agent, key)}`);
    const before = mutations(simulation);
    await world.run(quietMs);
    if (!isOver()) throw new Error(`O1: did not stay so: ${describeRow(agent, key)}`);
    if (mutations(simulation) !== before) throw new Error('O9: the provider was changed after all was done');
    const creates = world
      .effects()
      .filter((effect) => isCreate(effect))
      .reduce((sum, effect) => sum + effect.done, 0);
    const needed = scenario.needs.filter(({ key: { kind } }) => kind !== 'Workspace').length;
    if (scenario.sameCounts && creates > needed + 1) throw new Error(`O5: ${String(creates)} creates`);
    if (scenario.objects(clouds, { uid, ...key, status: {} }) > 1) throw new Error('O2: more than one object');
    checkSecrets(world);
    return world.effects().length;
  } finally {
    world.close();
  }
}

function mutations({ world }: Simulation): number {
  return world.effects().filter((effect) => effect.door === 'provider' && effect.mutating && effect.done > 0).length;
}

function isCreate({ op }: Effect): boolean {
  return /\.(create|send)$|POST \/b$/.test(op);
}

interface Begun {
  readonly simulation: Simulation;
  /** The operation itself. */
  readonly act: () => Promise<void>;
  readonly isDone: () => boolean;
}

/** Everything before the operation, without a fault. */
async function begin(scenario: Scenario, operation: Operation): Promise<Begun> {
  const simulation = createSimulation({ seed });
  const { world, agent, clouds } = simulation;
  const key = subjectKey(scenario);
  const converged = (): boolean => isConverged(simulation, scenario, key);
  await simulation.prepare(scenario);
  const create = async (): Promise<void> => void (await agent.apply(key, scenario.sample));
  if (operation === 'create') return { simulation, act: create, isDone: converged };
  if (operation === 'create-delete') {
    // The user changes his mind in the moment of the crash; without one, after the first call to a provider.
    let gone = false;
    const act = async (): Promise<void> => {
      await create();
      const row = rowAt(simulation, key);
      const isMoment = (): boolean =>
        world.wasCut() ||
        world.effects().some((effect) => isCreate(effect) && effect.subject !== '' && isOf(effect, row.uid));
      await world.until(() => isMoment() || converged(), withinMs);
      await agent.remove(key);
      gone = true;
      begun.row = row;
    };
    const begun: { row?: ReturnType<typeof rowAt> } = {};
    const isOf = (effect: Effect, uid: string): boolean => effect.subject === uid || effect.op.startsWith('gcs.');
    return {
      simulation,
      act,
      isDone: () => gone && begun.row !== undefined && isRemoved(simulation, scenario, begun.row),
    };
  }
  await create();
  if (!(await world.until(converged, withinMs))) throw new Error(`before: ${describeRow(agent, key)}`);
  const row = rowAt(simulation, key);
  if (operation === 'update') {
    return { simulation, act: async () => void (await agent.apply(key, scenario.update ?? {})), isDone: converged };
  }
  if (operation === 'delete') {
    return { simulation, act: () => agent.remove(key), isDone: () => isRemoved(simulation, scenario, row) };
  }
  const act = async (): Promise<void> => {
    scenario.drifts[0]?.mutate(clouds, row);
    wakeNow(simulation, row.uid);
  };
  return { simulation, act, isDone: converged };
}

/** The command that runs one case again. */
export function replayLine({ scenario, operation, n, cut, restartAfterMs }: CrashCase): string {
  const which = `--scenario "${scenario.title}" --operation ${operation} --cut ${String(n)}:${cut}:${String(restartAfterMs)}`;
  return `npm run sim -- --seed ${String(seed)} --suite crash-everywhere ${which}`;
}
