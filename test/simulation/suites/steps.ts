import type { ResourceKey, ResourceRow } from '#resources/resource.ts';
import { changeWork } from '#test/simulation/memory-store/database.ts';
import { tablesOf } from '#test/simulation/oracles.ts';
import type { Scenario } from '#test/simulation/scenarios/scenario.ts';
import { isReady } from '#test/simulation/simulation.ts';
import type { Simulation } from '#test/simulation/simulation.ts';

/** What a user, or somebody outside, does to a row. */
export const operations = ['create', 'update', 'delete', 'drift', 'create-delete'] as const;
export type Operation = (typeof operations)[number];

/** Whether the operation makes sense for the kind. */
export function applies(scenario: Scenario, operation: Operation): boolean {
  if (operation === 'update') return scenario.update !== null;
  if (operation === 'drift') return scenario.drifts.length > 0;
  return true;
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
export function isConverged({ agent, clouds }: Simulation, scenario: Scenario, key: ResourceKey): boolean {
  const row = agent.row(key);
  return row !== null && isReady(row) && scenario.matches(clouds, row, row.spec);
}

/** The row is gone, and so is everything of it outside. */
export function isRemoved({ agent, clouds }: Simulation, scenario: Scenario, gone: ResourceRow): boolean {
  const key = { workspace: gone.workspace, kind: gone.kind, name: gone.name };
  return agent.row(key) === null && (scenario.kind === 'Letter' || scenario.objects(clouds, gone) === 0);
}

/** Stalled for a person to decide. */
export function isParked({ agent }: Simulation, key: ResourceKey): boolean {
  const stalled = agent.row(key)?.conditions.find((one) => one.type === 'Stalled');
  return stalled?.status === 'True' && stalled.reason === 'NeedsDecision';
}
