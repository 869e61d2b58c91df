import type { ResourceKey, ResourceRow } from '#resources/resource.ts';
import type { Effect } from '#test/simulation/effects.ts';
import { changeWork } from '#test/simulation/memory-store/database.ts';
import { tablesOf } from '#test/simulation/oracles.ts';
import type { Scenario } from '#test/simulation/scenarios/scenario.ts';
import { createSimulation, describeRow, isReady, subjectKey } from '#test/simulation/simulation.ts';
import type { Simulation } from '#test/simulation/simulation.ts';

/** What a user, or somebody outside, does to a row. */
export const operations = ['create', 'update', 'delete', 'drift', 'create-delete'] as const;
export type Operation = (typeof operations)[number];

/** Longest until a row converged or parked: 15 min and a poll. */
export const withinMs = 16 * 60_000;

/** Whether the operation makes sense for the kind. */
export function applies(scenario: Scenario, operation: Operation): boolean {
  if (operation === 'update') return scenario.update !== null;
  if (operation === 'drift') return scenario.drifts.length > 0;
  return true;
}

/** An operation about to happen. */
export interface Begun {
  readonly simulation: Simulation;
  /** The operation itself. */
  readonly act: () => Promise<void>;
  readonly isDone: () => boolean;
}

export interface BeginInput {
  readonly seed: number;
  readonly scenario: Scenario;
  readonly operation: Operation;
  readonly duplicatesAllowed?: boolean;
}

/** Runs everything before the operation, without a fault. */
export async function begin(input: BeginInput): Promise<Begun> {
  const { seed, scenario, operation, duplicatesAllowed = false } = input;
  const simulation = createSimulation({ seed, duplicatesAllowed });
  const { world, agent, clouds } = simulation;
  const key = subjectKey(scenario);
  const converged = (): boolean => isConverged(simulation, scenario, key);
  const create = async (): Promise<void> => void (await agent.apply(key, scenario.sample));
  await simulation.prepare(scenario);
  if (operation === 'create') return { simulation, act: create, isDone: converged };
  if (operation === 'create-delete') return changeOfMind(simulation, scenario);
  await create();
  if (!(await world.until(converged, withinMs))) throw new Error(`before: ${describeRow(agent, key)}`);
  const row = rowAt(simulation, key);
  switch (operation) {
    case 'update':
      return { simulation, act: async () => void (await agent.apply(key, scenario.update ?? {})), isDone: converged };
    case 'delete':
      return { simulation, act: () => agent.remove(key), isDone: () => isRemoved(simulation, scenario, row) };
    case 'drift': {
      const act = async (): Promise<void> => {
        scenario.drifts[0]?.mutate(clouds, row);
        wakeNow(simulation, row.uid);
      };
      return { simulation, act, isDone: converged };
    }
  }
}

/** Declared, and deleted in the moment of the crash; without one, after the first call that creates. */
function changeOfMind(simulation: Simulation, scenario: Scenario): Begun {
  const { world, agent } = simulation;
  const key = subjectKey(scenario);
  let gone: ResourceRow | null = null;
  const act = async (): Promise<void> => {
    const from = world.effects().length;
    await agent.apply(key, scenario.sample);
    const row = rowAt(simulation, key);
    const isMoment = (): boolean => world.wasCut() || world.effects().slice(from).some(isCreate);
    await world.until(() => isMoment() || isConverged(simulation, scenario, key), withinMs);
    await agent.remove(key);
    gone = row;
  };
  return { simulation, act, isDone: () => gone !== null && isRemoved(simulation, scenario, gone) };
}

/** Background loops of an engine: a crash there is a crash between passes. */
const background =
  /^(replays\.|providers\.providers|engine\.(drainingShards|sweep|registerEngine|dueShards|nextDueInMs|fire|drain)$)/;

export function isBackground({ op }: Effect): boolean {
  return background.test(op);
}

function isCreate({ op }: Effect): boolean {
  return /\.(create|send)$|POST \/b$/.test(op);
}

/** How often the providers created something. */
export function countCreates({ world }: Simulation): number {
  return world
    .effects()
    .filter(isCreate)
    .reduce((sum, effect) => sum + effect.done, 0);
}

/** How often the providers changed anything. */
export function countMutations({ world }: Simulation): number {
  return world
    .effects()
    .filter((effect) => effect.door === 'provider' && effect.mutating)
    .reduce((sum, effect) => sum + effect.done, 0);
}

/** Makes a row due now, as a signal would. */
export function wakeNow({ world }: Simulation, uid: string): void {
  const tables = tablesOf(world);
  if (tables === undefined) return;
  changeWork(tables, uid, { dueAt: world.now() });
  world.db.committed(tables.shard);
}

/** The row, which must be there. */
export function rowAt({ agent }: Simulation, key: ResourceKey): ResourceRow {
  const row = agent.row(key);
  if (row === null) throw new Error(`${key.kind}/${key.name} is gone`);
  return row;
}

/** Ready, and the world is as declared. */
export function isRight(simulation: Simulation, scenario: Scenario, key: ResourceKey): boolean {
  const row = simulation.agent.row(key);
  return row !== null && isReady(row) && scenario.matches(simulation.clouds, row, row.spec);
}

/** Ready, the world is as declared, and nobody has anything to do for it. */
export function isConverged(simulation: Simulation, scenario: Scenario, key: ResourceKey): boolean {
  const row = simulation.agent.row(key);
  return row !== null && isIdle(simulation, row.uid) && isRight(simulation, scenario, key);
}

/** Held by nobody, not due, and nobody's takeover is being waited out. */
export function isIdle({ world }: Simulation, uid: string): boolean {
  const work = tablesOf(world)?.work.get(uid);
  return work !== undefined && work.holder === null && work.takenOverAt === null && work.dueAt > world.now();
}

/** The row is gone, and so is everything of it outside. */
export function isRemoved({ agent, clouds }: Simulation, scenario: Scenario, gone: ResourceRow): boolean {
  const now = agent.row({ workspace: gone.workspace, kind: gone.kind, name: gone.name });
  return now?.uid !== gone.uid && (scenario.kind === 'Letter' || scenario.objects(clouds, gone) === 0);
}

/** Stalled for a person to decide. */
export function isParked({ agent }: Simulation, key: ResourceKey): boolean {
  return stalledReason(agent.row(key)) === 'NeedsDecision';
}

/** Why a row is Stalled, or null. */
export function stalledReason(row: ResourceRow | null): string | null {
  return row?.conditions.find((one) => one.type === 'Stalled' && one.status === 'True')?.reason ?? null;
}
