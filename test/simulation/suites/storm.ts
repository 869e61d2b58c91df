import { ApiError } from '#resources/errors.ts';
import type { JsonObject } from '#resources/json.ts';
import type { ResourceKey } from '#resources/resource.ts';
import { providerFaults, storeFaults } from '#test/simulation/effects.ts';
import type { Effect, Fault } from '#test/simulation/effects.ts';
import { checkSecrets, tablesOf } from '#test/simulation/oracles.ts';
import { Violation } from '#test/simulation/performing.ts';
import { seeded } from '#test/simulation/random.ts';
import type { SeededRng } from '#test/simulation/random.ts';
import { keyOf } from '#test/simulation/scenarios/scenario.ts';
import type { Scenario } from '#test/simulation/scenarios/scenario.ts';
import { createWorld, describeRow, isReady, scenarios } from '#test/simulation/world.ts';
import type { World } from '#test/simulation/world.ts';
import { countMutations, stalledReason } from './steps.ts';
import type { Suite } from './suite.ts';

/**
 * seeded storm: three replicas with clocks ten minutes apart, rows of all kinds, edits, deletions, undeletions, drift, crashes, pauses,
 * and 5 to 20 % faults, all drawn by the seed. Every oracle watches every step, and an agent reads at every step. Then the faults stop:
 * all must converge, and stay.
 */
export const storm: Suite = {
  name: 'storm',
  cases: async (seed) => [{ id: '3 replicas', run: () => runStorm(seed, rowsOf(rowsOfEach)) }],
  mustHit: [...providerFaults, ...storeFaults, 'stale']
    .map((fault) => `fault:${fault}`)
    .concat('storm:crash', 'storm:pause', 'storm:delete', 'storm:undelete', 'storm:drift', 'storm:edit'),
};

interface StormRow {
  readonly key: ResourceKey;
  readonly scenario: Scenario;
  readonly specs: readonly JsonObject[];
}

const stormMs = 20 * 60_000;
const calmMs = 90 * 60_000;
const quietMs = 30 * 60_000;

/** Of each scenario: 50 rows and more in all. */
const rowsOfEach = 8;

/** So many rows of each scenario. */
function rowsOf(each: number): readonly StormRow[] {
  return scenarios.flatMap((scenario, index) =>
    Array.from({ length: each }, (_, n) => {
      const name = `row-${String(index)}-${String(n)}`;
      const specs = [scenario.sample, scenario.update]
        .filter((spec) => spec !== null)
        .map((spec) => ({ ...spec, ...scenario.own?.(name) }));
      return { key: keyOf(scenario.kind, name), scenario, specs };
    }),
  );
}

async function runStorm(seed: number, rows: readonly StormRow[]): Promise<World> {
  const world = createWorld({ seed, order: 'seeded' });
  try {
    await world.prepare(...scenarios);
    for (const [name, skewMs] of [
      ['w2', 600_000],
      ['w3', -600_000],
    ] as const)
      world.startWorker(name, { skewMs });
    await rage(world, rows);
    await calm(world, rows);
    checkSecrets(world);
    return world;
  } finally {
    world.close();
  }
}

async function rage(world: World, rows: readonly StormRow[]): Promise<void> {
  const rng = seeded(world.seed, 'storm');
  const probability = 0.05 + rng.next() * 0.15;
  world.setFaults((effect) => faultOf(effect, { rng, probability }));
  world.setSignals((own) => (own.chance(0.2) ? [] : [own.int(500)]));
  for (const { key, specs } of rows) await world.agent.apply(key, rng.pick(specs));
  const end = world.timeline.elapsed() + stormMs;
  while (world.timeline.elapsed() < end) {
    await happen(world, { rows, rng });
    await watch(world, rng.int(20_000));
  }
}

/** Runs on, reading some row at every step as an agent would. */
async function watch(world: World, forMs: number): Promise<void> {
  const { agent, truth } = world;
  const uids = [...(tablesOf(world)?.rows.values() ?? [])];
  let step = 0;
  const read = (): boolean => {
    const row = uids[(step += 1) % Math.max(1, uids.length)];
    const seen = row === undefined ? null : agent.get({ workspace: row.workspace, kind: row.kind, name: row.name });
    if (seen === null) return false;
    truth.check(seen);
    world.sometimes('storm:read');
    return false;
  };
  await world.until(read, forMs);
}

function faultOf(effect: Effect, { rng, probability }: { rng: SeededRng; probability: number }): Fault | null {
  if (effect.door === 'store') {
    if (!rng.chance(probability / 5)) return null;
    return effect.mutating ? rng.pick(storeFaults) : rng.pick(['unavailable', 'slow-commit'] as const);
  }
  if (!rng.chance(probability)) return null;
  if (!effect.mutating) return rng.pick(['lose-request', 'lose-reply', 'refuse', 'throttle', 'slow', 'stale'] as const);
  const fault = rng.pick(providerFaults);
  // What a provider does twice by itself, where nothing guards it, no client can undo.
  return fault === 'twice' && /tokens\.create|letters\.send/.test(effect.op) ? 'lose-reply' : fault;
}

const events = ['edit', 'edit', 'edit', 'edit', 'delete', 'undelete', 'drift', 'crash', 'pause'] as const;

async function happen(world: World, { rows, rng }: { rows: readonly StormRow[]; rng: SeededRng }): Promise<void> {
  const { agent, clouds } = world;
  const event = rng.pick(events);
  const row = rng.pick(rows);
  const wish = (ask: Promise<unknown>): Promise<void> =>
    ask.then(
      () => world.sometimes(`storm:${event}`),
      (error: unknown) => {
        if (!(error instanceof ApiError)) throw error;
      },
    );
  switch (event) {
    case 'edit':
      return wish(agent.apply(row.key, rng.pick(row.specs)));
    case 'delete':
      return wish(agent.remove(row.key));
    case 'undelete':
      return wish(agent.undelete(row.key));
    case 'drift': {
      const found = agent.row(row.key);
      if (found !== null) row.scenario.data?.fill(clouds, found);
      const drift = row.scenario.drifts.length === 0 ? undefined : rng.pick(row.scenario.drifts);
      if (found === null || drift === undefined) return;
      drift.mutate(clouds, found);
      return world.sometimes('storm:drift');
    }
    case 'crash': {
      const worker = world.workers.length === 0 ? undefined : rng.pick(world.workers);
      if (worker === undefined) return;
      world.crash(worker);
      world.sometimes('storm:crash');
      world.timeline.after(rng.int(40_000), () => void world.startWorker(`${worker.name}'`));
      return;
    }
    case 'pause': {
      const worker = world.workers.length === 0 ? undefined : rng.pick(world.workers);
      worker?.life.pause();
      world.timeline.after(rng.int(90_000), () => worker?.life.resume());
      return world.sometimes('storm:pause');
    }
  }
}

/** No more faults: everything converges, and then nothing is changed any more. */
async function calm(world: World, rows: readonly StormRow[]): Promise<void> {
  const { agent } = world;
  world.setFaults(null);
  world.setSignals(() => [5]);
  const open = (): readonly StormRow[] => rows.filter((row) => !isSettled(world, row));
  // What is right may still be at work: a change in two calls is seen right after the first.
  const isOpen = (row: StormRow): boolean => !isAtRest(world, row.key) || !isSettled(world, row);
  // Asked at every step: of all rows one that is still open says enough.
  let witness: StormRow | undefined;
  const isDone = (): boolean => {
    if (witness === undefined || !isOpen(witness)) witness = rows.find(isOpen);
    return witness === undefined;
  };
  if (!(await world.until(isDone, calmMs))) {
    const work = tablesOf(world)?.work;
    const described = rows
      .filter(isOpen)
      .slice(0, 3)
      .map(({ key }) => `${describeRow(agent, key)} ${JSON.stringify(work?.get(agent.row(key)?.uid ?? ''))}`);
    throw new Violation(`O1: after ${String(calmMs / 60_000)} calm minutes: ${described.join('; ')}`);
  }
  const before = countMutations(world);
  const from = world.effects().length;
  await watch(world, quietMs);
  if (open().length > 0)
    throw new Violation(
      `O1: did not stay so: ${open()
        .map(({ key }) => describeRow(agent, key))
        .join('; ')}`,
    );
  if (countMutations(world) === before) return;
  const late = world.effects().slice(from);
  const changes = late.filter((effect) => effect.door === 'provider' && effect.mutating && effect.done > 0);
  const described = changes.map(({ at, op, subject }) => `${op} ${subject} at ${String(at)}`);
  throw new Violation(`O9: changed after all had converged: ${described.join('; ')}`);
}

/** Nobody has it in hand. (That it was taken over once, what had finished need not forget.) */
function isAtRest(world: World, key: ResourceKey): boolean {
  const row = world.agent.row(key);
  const work = row === null ? undefined : tablesOf(world)?.work.get(row.uid);
  return row === null || (work !== undefined && work.holder === null && work.dueAt > world.now());
}

/** As declared; or gone; or parked because nobody can know. */
function isSettled({ agent, clouds }: World, { key, scenario }: StormRow): boolean {
  const row = agent.row(key);
  if (row === null) return true;
  if (scenario.untraceable && stalledReason(row) === 'NeedsDecision') return true;
  return row.deletedAt === null && isReady(row) && scenario.matches(clouds, row, row.spec);
}
