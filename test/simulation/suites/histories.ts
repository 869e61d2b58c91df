import { readFaults } from '#test/simulation/effects.ts';
import type { Fault } from '#test/simulation/effects.ts';
import { checkSecrets } from '#test/simulation/oracles.ts';
import { Violation } from '#test/simulation/performing.ts';
import { seeded } from '#test/simulation/random.ts';
import type { SeededRng } from '#test/simulation/random.ts';
import type { ResourceKey } from '#resources/resource.ts';
import type { Scenario } from '#test/simulation/scenarios/scenario.ts';
import { createWorld, describeRow, isReady, scenarios, subjectKey } from '#test/simulation/world.ts';
import type { World } from '#test/simulation/world.ts';
import type { SignalPlan } from '#test/simulation/bare-world.ts';
import { countMutations, isConverged, isRemoved, isRight, stalledReason, withinMs } from './steps.ts';
import type { Suite, SuiteCase } from './suite.ts';

/**
 * Whole histories of a row (create, update, delete, create again under the same name) while one thing is wrong all the time: reads
 * are stale, the provider lags, signals are lost. The end is that of a world without it.
 */
interface History {
  readonly world: World;
  readonly scenario: Scenario;
  /** Waits between the steps instead of for their end: ms, drawn by seed. Null: each step ends first. */
  readonly hurry: SeededRng | null;
}

async function live({ world, scenario, hurry }: History): Promise<void> {
  const { agent } = world;
  const key = subjectKey(scenario);
  const settle = async (isDone: () => boolean): Promise<void> => {
    if (hurry !== null) return world.run(hurry.int(30_000));
    if (!(await world.until(isDone, withinMs))) throw new Error(`O1: ${describeRow(agent, key)}`);
  };
  const converged = (): boolean => isConverged(world, scenario, key);
  await agent.apply(key, scenario.sample);
  await settle(converged);
  if (scenario.update !== null) {
    await agent.apply(key, scenario.update);
    await settle(converged);
  }
  const first = agent.row(key);
  await agent.remove(key);
  await world.until(() => agent.row(key) === null, withinMs * 2);
  if (first === null || !isRemoved(world, scenario, first))
    throw new Error(`O1: not removed: ${describeRow(agent, key)}`);
  await agent.apply(key, scenario.sample);
  if (!(await world.until(converged, withinMs * 2))) throw new Error(`O1: again: ${describeRow(agent, key)}`);
  await world.run(3_600_000);
  if (!isRight(world, scenario, key)) throw new Error(`O1: did not stay so: ${describeRow(agent, key)}`);
}

/** Opens a world, prepares it without faults, runs, closes. */
async function within(
  options: { seed: number; order: 'fifo' | 'seeded' },
  scenario: Scenario,
  run: (world: World) => Promise<void>,
): Promise<World> {
  const world = createWorld(options);
  try {
    await world.prepare(scenario);
    await run(world);
    checkSecrets(world);
    return world;
  } finally {
    world.close();
  }
}

function perScenario(run: (scenario: Scenario) => Promise<World>): SuiteCase[] {
  return scenarios.map((scenario) => ({ id: scenario.title, run: () => run(scenario) }));
}

/** stale reads: provider answers and store replies served late, a name deleted and declared again. 0 wrong deletes. */
export const staleReads: Suite = {
  name: 'stale-reads',
  cases: async (seed) =>
    perScenario((scenario) =>
      within({ seed, order: 'seeded' }, scenario, async (world) => {
        const rng = seeded(seed, 'stale');
        world.setFaults((effect) => {
          if (effect.mutating || !rng.chance(0.5)) return null;
          return effect.door === 'provider' ? 'stale' : 'slow-commit';
        });
        await live({ world, scenario, hurry: seeded(seed, 'hurry') });
      }),
    ),
  mustHit: ['fault:stale', 'fault:slow-commit'],
};

const marksOfAnother = ['AlreadyExistsUnowned', 'OwnershipMarkMissing'];

/** laggy provider: what was changed shows up to the kind's visibility later, and list and get disagree. Nothing is done again for it. */
export const laggyProvider: Suite = {
  name: 'laggy-provider',
  cases: async (seed) =>
    perScenario(async (scenario) => {
      const expected = await changesWithout(seed, scenario);
      return within({ seed, order: 'fifo' }, scenario, async (world) => {
        const key = subjectKey(scenario);
        const flips = countFlips(world, key);
        world.observe(({ op }) => {
          const reason = stalledReason(world.agent.row(key));
          // Declared again, a read that lags still shows the one before, and that bears another's mark.
          if (reason !== null && !marksOfAnother.includes(reason))
            throw new Violation(`taken for lost: Stalled with ${reason}`);
          if (op === 'engine.beginRecreate') throw new Violation('taken for lost: to be made again');
        });
        world.setFaults((effect) => (effect.mutating || effect.door === 'store' ? null : 'stale'), scenario.lagMs);
        await live({ world, scenario, hurry: null });
        // Into a generation Ready may come once; out of it, an edit counts for the next one.
        const most = Math.max(0, ...flips.values());
        if (most > 2) throw new Error(`Ready flapped: ${JSON.stringify([...flips])}`);
        const changes = countMutations(world);
        const fewer = changes < expected && scenario.readInParts === true;
        if (changes !== expected && !fewer) throw new Error(`O5: ${String(changes)} changes, not ${String(expected)}`);
      });
    }),
  mustHit: ['fault:stale'],
};

/** How often the providers are changed in the same history without a fault. */
async function changesWithout(seed: number, scenario: Scenario): Promise<number> {
  const world = await within({ seed, order: 'fifo' }, scenario, (world) => live({ world, scenario, hurry: null }));
  return countMutations(world);
}

/** Changes to and from Ready, by generation. */
function countFlips(world: World, key: ResourceKey): ReadonlyMap<number, number> {
  const flips = new Map<number, number>();
  let was = false;
  world.observe(() => {
    const row = world.agent.row(key);
    const is = isReady(row);
    if (is !== was && row !== null) flips.set(row.generation, (flips.get(row.generation) ?? 0) + 1);
    was = is;
  });
  return flips;
}

const signalPlans: Readonly<Record<string, SignalPlan>> = {
  dropped: () => [],
  doubled: () => Array.from({ length: 10 }, (_, n) => 5 + n),
  shuffled: (rng) => [rng.int(5_000)],
  'some dropped': (rng) => (rng.chance(0.5) ? [] : [5]),
};

/** missed events: wake-ups dropped, doubled, shuffled. Same end, as many changes. */
export const missedEvents: Suite = {
  name: 'missed-events',
  cases: async (seed) =>
    scenarios.flatMap((scenario) =>
      Object.entries(signalPlans).map(([plan, signals]) => ({
        id: `${scenario.title}/${plan}`,
        run: async () => {
          const expected = await changesWithout(seed, scenario);
          return within({ seed, order: 'fifo' }, scenario, async (world) => {
            world.setSignals(signals);
            await live({ world, scenario, hurry: null });
            const changes = countMutations(world);
            if (changes !== expected) throw new Error(`O5: ${String(changes)} changes, not ${String(expected)}`);
            world.sometimes(`signals:${plan}`);
          });
        },
      })),
    ),
  mustHit: Object.keys(signalPlans).map((plan) => `signals:${plan}`),
};

/** Of the signals of a history one in so many is the first of those that a seed drops: ten seeds drop each. */
const missedEvery = 10;
const runsOf = [1, 5] as const;

/** missed events, one by one: each signal alone, and each run of five, is dropped. */
export const missedOne: Suite = {
  name: 'missed-one',
  cases: async (seed) => {
    const all: SuiteCase[] = [];
    for (const scenario of scenarios) {
      const { changes, signals } = await signalsOf(seed, scenario);
      for (let first = (seed - 1) % missedEvery; first < signals; first += missedEvery) {
        for (const run of runsOf) {
          const id = `${scenario.title}/${String(first)}+${String(run)}`;
          all.push({ id, run: () => missed({ seed, scenario, first, run, changes }) });
        }
      }
    }
    return all;
  },
  mustHit: ['signals:dropped'],
};

interface Missed {
  readonly seed: number;
  readonly scenario: Scenario;
  readonly first: number;
  readonly run: number;
  /** Of the providers, without a signal lost. */
  readonly changes: number;
}

async function missed({ seed, scenario, first, run, changes }: Missed): Promise<World> {
  return within({ seed, order: 'fifo' }, scenario, async (world) => {
    let signals = 0;
    world.setSignals(() => {
      const n = signals;
      signals += 1;
      if (n < first || n >= first + run) return [5];
      world.sometimes('signals:dropped');
      return [];
    });
    await live({ world, scenario, hurry: null });
    if (countMutations(world) !== changes)
      throw new Error(`O5: ${String(countMutations(world))} changes, not ${String(changes)}`);
  });
}

/** How many signals a history gives, and how often it changes the providers. */
async function signalsOf(
  seed: number,
  scenario: Scenario,
): Promise<{ readonly changes: number; readonly signals: number }> {
  let signals = 0;
  const world = await within({ seed, order: 'fifo' }, scenario, (one) => {
    one.setSignals(() => {
      signals += 1;
      return [5];
    });
    return live({ world: one, scenario, hurry: null });
  });
  return { changes: countMutations(world), signals };
}

const falseAnswers: readonly Fault[] = ['lose-request', 'refuse', 'throttle', 'slow', 'stale'];

/** flaky reads: half of all reads of the provider fail in some way; nothing is taken for absent. */
export const flakyReads: Suite = {
  name: 'flaky-reads',
  cases: async (seed) =>
    perScenario((scenario) =>
      within({ seed, order: 'seeded' }, scenario, async (world) => {
        const rng = seeded(seed, 'flaky');
        world.setFaults((effect) =>
          effect.door === 'provider' && !effect.mutating && rng.chance(0.4) ? rng.pick(falseAnswers) : null,
        );
        await live({ world, scenario, hurry: null });
      }),
    ),
  mustHit: readFaults.filter((fault) => falseAnswers.includes(fault)).map((fault) => `fault:${fault}`),
};
