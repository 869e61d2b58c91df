import type { Json } from '#resources/json.ts';
import type { ResourceKey } from '#resources/resource.ts';
import type { Clouds } from '#test/simulation/clouds.ts';
import { tablesOf } from '#test/simulation/oracles.ts';
import { bucketsOf, policyAt } from '#test/simulation/scenarios/bucket.ts';
import type { Scenario } from '#test/simulation/scenarios/scenario.ts';
import { createWorld, describeRow, scenarios, subjectKey } from '#test/simulation/world.ts';
import type { World } from '#test/simulation/world.ts';
import { countMutations, isConverged, isIdle, rowAt, stalledReason, wakeNow, withinMs } from './steps.ts';
import type { Suite } from './suite.ts';

async function converged(seed: number, scenario: Scenario): Promise<World> {
  const world = createWorld({ seed });
  const { agent } = world;
  const key = subjectKey(scenario);
  await world.prepare(scenario);
  await agent.apply(key, scenario.sample);
  if (await world.until(() => isConverged(world, scenario, key), withinMs)) return world;
  world.close();
  throw new Error(`O1: ${describeRow(agent, key)}`);
}

/**
 * drift matrix: each managed field changed outside is repaired, each unmanaged one left alone. What is shown as drift is what is carried
 * out, and that puts the providers back to where they were, no more (plan = apply).
 */
export const driftMatrix: Suite = {
  name: 'drift-matrix',
  cases: async (seed) =>
    scenarios.flatMap((scenario) => [
      ...scenario.drifts.map((drift) => ({
        id: `${scenario.title}/managed/${drift.name}`,
        run: () => repaired(seed, scenario, drift.mutate),
      })),
      ...scenario.unmanaged.map((drift) => ({
        id: `${scenario.title}/unmanaged/${drift.name}`,
        run: () => untouched(seed, scenario, drift),
      })),
      ...(scenario.destroy === null ? [] : [{ id: `${scenario.title}/gone`, run: () => gone(seed, scenario) }]),
    ]),
  mustHit: ['drift:repaired', 'drift:untouched', 'drift:recreated', 'drift:stalled'],
};

async function repaired(
  seed: number,
  scenario: Scenario,
  mutate: Scenario['drifts'][number]['mutate'],
): Promise<World> {
  const world = await converged(seed, scenario);
  const { agent, clouds } = world;
  const key = subjectKey(scenario);
  const row = rowAt(world, key);
  const before = world.timeline.elapsed();
  const intact = stateOf(clouds);
  const shown = diffsShown(world, key);
  mutate(clouds, row);
  // Nobody tells: the row's own resync finds it.
  const fixed = (): boolean => isConverged(world, scenario, key) && (lastPass(world, row.uid) ?? 0) > before;
  const ok = await world.until(fixed, 2 * withinMs);
  const described = describeRow(agent, key);
  world.sometimes('drift:repaired');
  const after = stateOf(clouds);
  const carriedOut = plansSince(world, row.uid, shown.pass);
  world.close();
  if (!ok) throw new Error(`not repaired: ${described}`);
  if (after !== intact) throw new Error(`plan = apply: more was changed than had drifted: ${intact} became ${after}`);
  if (shown.diff === '[]' || shown.diff !== carriedOut)
    throw new Error(`plan = apply: ${shown.diff} was shown, and ${carriedOut} was carried out`);
  return world;
}

/** Everything at the providers, but for what they count themselves. */
function stateOf(clouds: Clouds): string {
  const counted = new Set([
    'etag',
    'metageneration',
    'updated',
    'timeUpdated',
    'generation',
    'selfLink',
    'lockedTime',
    'effectiveTime',
  ]);
  const plain = (name: string, value: unknown): unknown => (counted.has(name) ? undefined : value);
  const { tokens, links } = clouds.tiny;
  const buckets = bucketsOf(clouds).map((bucket) => [bucket, policyAt(clouds, bucket.name)]);
  return JSON.stringify([...tokens.entries(), ...links.entries(), ...buckets], plain);
}

/** The last diff that the row showed as drift, and the pass that saw it. */
function diffsShown(world: World, key: ResourceKey): { diff: string; pass: number } {
  const shown = { diff: '[]', pass: 0 };
  world.observe(() => {
    const inSync = world.agent.row(key)?.conditions.find((one) => one.type === 'InSync');
    if (inSync?.reason !== 'DriftDetected' || inSync.evidence?.diff === undefined) return;
    shown.diff = JSON.stringify(inSync.evidence.diff);
    shown.pass = inSync.evidence.pass ?? 0;
  });
  return shown;
}

/** The changes of the plan that a pass carried out, as the journal has them. */
function plansSince(world: World, uid: string, epoch: number): string {
  const pass = tablesOf(world)
    ?.passes.get(uid)
    ?.find((one) => one.epoch === epoch);
  const plan = pass?.plan as { actions?: readonly { changes?: readonly Json[] }[] } | null | undefined;
  return JSON.stringify((plan?.actions ?? []).flatMap((action) => action.changes ?? []));
}

/** Elapsed ms of the last settle of a row. */
function lastPass(world: World, uid: string): number | undefined {
  return world.effects().findLast((effect) => effect.op === 'engine.settle' && effect.subject.includes(uid))?.at;
}

async function untouched(seed: number, scenario: Scenario, drift: Scenario['unmanaged'][number]): Promise<World> {
  const world = await converged(seed, scenario);
  const { clouds } = world;
  const row = rowAt(world, subjectKey(scenario));
  drift.mutate(clouds, row);
  const before = countMutations(world);
  await world.run(2 * withinMs);
  world.sometimes('drift:untouched');
  const kept = drift.kept(clouds, row);
  world.close();
  if (!kept) throw new Error('an unmanaged field was changed');
  if (countMutations(world) !== before) throw new Error('something was changed although nothing managed had drifted');
  return world;
}

/** Deleted outside: made again, or, where it held data, a person is asked. */
async function gone(seed: number, scenario: Scenario): Promise<World> {
  const world = await converged(seed, scenario);
  const { agent, clouds } = world;
  const key = subjectKey(scenario);
  const row = rowAt(world, key);
  scenario.destroy?.(clouds, row);
  wakeNow(world, row.uid);
  const stalls = scenario.whenGone === 'stalled';
  const isDone = (): boolean =>
    stalls ? stalledReason(agent.row(key)) === 'DeletedOutside' : isConverged(world, scenario, key);
  const ok = await world.until(isDone, withinMs);
  const described = describeRow(agent, key);
  if (stalls) await world.run(withinMs);
  world.sometimes(stalls ? 'drift:stalled' : 'drift:recreated');
  world.close();
  if (!ok) throw new Error(described);
  if (stalls && scenario.objects(clouds, row) > 0) throw new Error('re-created although it held data');
  return world;
}

/** foreign object: our name, somebody else's thing. Never adopted, never deleted, named after one pass; deleting the row leaves it. */
export const foreignObject: Suite = {
  name: 'foreign-object',
  cases: async (seed) =>
    scenarios.flatMap((scenario) =>
      Object.entries(scenario.foreign ?? {}).map(([what, plant]) => ({
        id: `${scenario.title}/${what}`,
        run: () => foreign(seed, scenario, plant),
      })),
    ),
  mustHit: ['foreign:named'],
};

type Plant = NonNullable<Scenario['foreign']>[string];

async function foreign(seed: number, scenario: Scenario, plant: Plant): Promise<World> {
  const world = createWorld({ seed });
  const { agent, clouds } = world;
  const key = subjectKey(scenario);
  try {
    await world.prepare(scenario);
    const isIntact = plant(clouds, key);
    await agent.apply(key, scenario.sample);
    const uid = rowAt(world, key).uid;
    const passes = (): number =>
      world.effects().filter((effect) => effect.op === 'engine.settle' && effect.subject.includes(uid)).length;
    await world.until(() => passes() > 0 && isIdle(world, uid), withinMs);
    const reason = stalledReason(agent.row(key));
    if (reason !== 'AlreadyExistsUnowned') throw new Error(`after one pass: ${describeRow(agent, key)}`);
    world.sometimes('foreign:named');
    await world.run(2 * withinMs);
    if (!isIntact()) throw new Error('a foreign object was touched');
    await agent.remove(key);
    if (!(await world.until(() => agent.row(key) === null, withinMs)))
      throw new Error(`O1: ${describeRow(agent, key)}`);
    if (!isIntact()) throw new Error('a foreign object was touched by the deletion');
    return world;
  } finally {
    world.close();
  }
}
