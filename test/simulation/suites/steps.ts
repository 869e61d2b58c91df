import type { ResourceKey, ResourceRow } from '#resources/resource.ts';
import type { Effect } from '#test/simulation/effects.ts';
import { changeWork } from '#test/simulation/memory-store/database.ts';
import { tablesOf } from '#test/simulation/oracles.ts';
import type { Scenario } from '#test/simulation/scenarios/scenario.ts';
import { createWorld, describeRow, isReady, subjectKey } from '#test/simulation/world.ts';
import type { World } from '#test/simulation/world.ts';

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
  readonly world: World;
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
  const world = createWorld({ seed, duplicatesAllowed });
  const { agent, clouds } = world;
  const key = subjectKey(scenario);
  const converged = (): boolean => isConverged(world, scenario, key);
  const create = async (): Promise<void> => void (await agent.apply(key, scenario.sample));
  await world.prepare(scenario);
  if (operation === 'create') return { world, act: create, isDone: converged };
  if (operation === 'create-delete') return changeOfMind(world, scenario);
  await create();
  if (!(await world.until(converged, withinMs))) throw new Error(`before: ${describeRow(agent, key)}`);
  const row = rowAt(world, key);
  scenario.data?.fill(clouds, row);
  switch (operation) {
    case 'update':
      return { world, act: async () => void (await agent.apply(key, scenario.update ?? {})), isDone: converged };
    case 'delete': {
      const isDone = (): boolean => isRemoved(world, scenario, row) && scenario.kept?.(clouds, row) !== false;
      return { world, act: () => agent.remove(key), isDone };
    }
    case 'drift': {
      const act = async (): Promise<void> => {
        scenario.drifts[0]?.mutate(clouds, row);
        wakeNow(world, row.uid);
      };
      return { world, act, isDone: converged };
    }
  }
}

/** Declared, and deleted in the moment of the crash; without one, after the first call that creates. */
function changeOfMind(world: World, scenario: Scenario): Begun {
  const { agent } = world;
  const key = subjectKey(scenario);
  let gone: ResourceRow | null = null;
  const act = async (): Promise<void> => {
    const from = world.effects().length;
    await agent.apply(key, scenario.sample);
    const row = rowAt(world, key);
    const isMoment = (): boolean => world.wasCut() || world.effects().slice(from).some(isCreate);
    await world.until(() => isMoment() || isConverged(world, scenario, key), withinMs);
    await agent.remove(key);
    gone = row;
  };
  return { world, act, isDone: () => gone !== null && isRemoved(world, scenario, gone) };
}

/** Background loops of an engine: a crash there is a crash between passes. */
const background =
  /^(replays\.|providers\.providers|engine\.(drainingShards|sweep|registerEngine|dueShards|fire|askFiring|takeFiring|moveFiring|drain)$)/;

export function isBackground({ op }: Effect): boolean {
  return background.test(op);
}

function isCreate({ op }: Effect): boolean {
  return /\.(create|send)$|POST \/b$/.test(op);
}

/** How often the providers created something. */
export function countCreates(world: World): number {
  return world
    .effects()
    .filter(isCreate)
    .reduce((sum, effect) => sum + effect.done, 0);
}

/** How often the providers changed anything. */
export function countMutations(world: World): number {
  return world
    .effects()
    .filter((effect) => effect.door === 'provider' && effect.mutating)
    .reduce((sum, effect) => sum + effect.done, 0);
}

/** Makes a row due now, as a signal would. */
export function wakeNow(world: World, uid: string): void {
  const tables = tablesOf(world);
  if (tables === undefined) return;
  changeWork(tables, uid, { dueAt: world.now() });
  world.db.committed(tables.shard);
}

/** The row, which must be there. */
export function rowAt({ agent }: World, key: ResourceKey): ResourceRow {
  const row = agent.row(key);
  if (row === null) throw new Error(`${key.kind}/${key.name} is gone`);
  return row;
}

/** Ready, and the world is as declared. */
export function isRight(world: World, scenario: Scenario, key: ResourceKey): boolean {
  const row = world.agent.row(key);
  return row !== null && isReady(row) && scenario.matches(world.clouds, row, row.spec);
}

/** Ready, the world is as declared, and nobody has anything to do for it. */
export function isConverged(world: World, scenario: Scenario, key: ResourceKey): boolean {
  const row = world.agent.row(key);
  return row !== null && isIdle(world, row.uid) && isRight(world, scenario, key);
}

/** Held by nobody, not due, and nobody's takeover is being waited out. */
export function isIdle(world: World, uid: string): boolean {
  const work = tablesOf(world)?.work.get(uid);
  return work !== undefined && work.holder === null && work.takenOverAt === null && work.dueAt > world.now();
}

/** The row is gone, and so is everything of it outside. */
export function isRemoved({ agent, clouds }: World, scenario: Scenario, gone: ResourceRow): boolean {
  const now = agent.row({ workspace: gone.workspace, kind: gone.kind, name: gone.name });
  return now?.uid !== gone.uid && (scenario.kind === 'Letter' || scenario.objects(clouds, gone) === 0);
}

/** Stalled for a person to decide. */
export function isParked({ agent }: World, key: ResourceKey): boolean {
  return stalledReason(agent.row(key)) === 'NeedsDecision';
}

/** Why a row is Stalled, or null. */
export function stalledReason(row: ResourceRow | null): string | null {
  return row?.conditions.find((one) => one.type === 'Stalled' && one.status === 'True')?.reason ?? null;
}
