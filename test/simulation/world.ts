import { createEngine } from '#controller/engine.ts';
import type { AnyReconciler } from '#controller/contract.ts';
import type { Logger } from '#controller/log.ts';
import { createMetrics } from '#controller/metrics.ts';
import { createOptions } from '#controller/options.ts';
import type { Options } from '#controller/options.ts';
import { createRegistry } from '#reconcilers/registry.ts';
import { storedReady } from '#resources/conditions.ts';
import { createKindRegistry } from '#resources/registry.ts';
import type { KindRegistry } from '#resources/registry.ts';
import type { ResourceKey, ResourceRow } from '#resources/resource.ts';
import { createFleetReconciler } from '#test/simulation/kinds/fleet.ts';
import { createLetterReconciler } from '#test/simulation/kinds/letter.ts';
import { createLinkReconciler } from '#test/simulation/kinds/link.ts';
import { createTinyClient } from '#test/simulation/kinds/tiny-client.ts';
import { createTokenReconciler } from '#test/simulation/kinds/token.ts';
import * as buckets from '#test/simulation/scenarios/bucket.ts';
import type { Scenario } from '#test/simulation/scenarios/scenario.ts';
import { keyOf } from '#test/simulation/scenarios/scenario.ts';
import { tinyScenarios, workspaceKey } from '#test/simulation/scenarios/tiny.ts';
import { createAgent } from './agent.ts';
import type { Agent } from './agent.ts';
import { createClouds, gcsTransport } from './clouds.ts';
import type { Clouds } from './clouds.ts';
import { watchOracles } from './oracles.ts';
import type { Truth } from './oracles.ts';
import { createTimeline } from './timeline.ts';
import type { Timeline } from './timeline.ts';
import { createBareWorld } from './bare-world.ts';
import type { BareWorld, BareWorldOptions, Boot, Ports } from './bare-world.ts';
import type { SeededRng } from './random.ts';

/**
 * The world of the suites (reliability.md, T1): the real engine and kinds over the memory store, the local cloud's models in process,
 * virtual time, one seed, an agent that declares, and the oracles watching every step. The machinery is bare-world.ts.
 */
export interface World extends BareWorld {
  readonly clouds: Clouds;
  readonly agent: Agent;
  readonly kinds: KindRegistry;
  readonly truth: Truth;
  /** Declares the Workspace and what the scenarios need, starts a worker, and waits until all of it is ready. */
  prepare(...scenarios: readonly Scenario[]): Promise<void>;
}

export interface WorldOptions {
  readonly seed: number;
  /** Virtual time; default: begins at 0. */
  readonly clock?: Timeline;
  /** Randomness of the world itself; default: of the seed. */
  readonly rng?: SeededRng;
  /** A database with something in it; default: empty. */
  readonly store?: BareWorldOptions['store'];
  /** Clouds with something in them; default: empty. */
  readonly cloud?: Clouds;
  readonly order?: BareWorldOptions['order'];
  /** See OracleOptions. */
  readonly duplicatesAllowed?: boolean;
  /** Ten thousand rows, at the options that a controller runs with: the oracles, which look at all there is at every step, look away. */
  readonly crowd?: boolean;
}

/** All scenarios; a registered kind without one is an error of the suites. */
export const scenarios: readonly Scenario[] = [
  ...tinyScenarios,
  buckets.bucketScenario,
  buckets.publicBucketScenario,
  buckets.fullBucketScenario,
  buckets.keptBucketScenario,
  buckets.objectDeletionScenario,
];

/** Needed by every scenario; not simulated by itself, since nothing outside exists of it. */
export const unsimulated: ReadonlySet<string> = new Set(['Workspace']);

const env = { VIBN_GCS_PROJECT: 'vibn-local', VIBN_GCP_PROJECT: 'vibn-local', VIBN_GCS_ENDPOINT: 'http://127.0.0.1:9' };

/** The real registry and the test's own kinds, over a worker's doors. */
function reconcilersOf(clouds: Clouds, call: Ports['call']): readonly AnyReconciler[] {
  const tiny = createTinyClient(clouds.tiny, call);
  const { reconcilers } = createRegistry({ env, gcs: gcsTransport(clouds, call) });
  return [
    ...reconcilers,
    createTokenReconciler(tiny),
    createLinkReconciler(tiny),
    createLetterReconciler(tiny),
    createFleetReconciler(),
  ];
}

/** As a controller runs, but that it polls and looks for work of its own less often: an hour passes here. */
const crowdOptions = createOptions({ engine: { pollMs: 5_000 }, sweep: { everyMs: 21_600_000 } });
// Background loops as slow as they may be: months pass here. What they do is the same.
const options = createOptions({
  engine: { pollMs: 60_000 },
  gateway: { refreshEveryMs: 10_000, tokensEveryMs: 10_000, tokensExpireMs: 20_000 },
  replay: { askEveryMs: 1_000, checkEveryMs: 10_000, idleEveryMs: 60_000 },
  tasks: { drainEveryMs: 10_000, fireIdleMs: 60_000, engineAgainTimes: 0 },
  sweep: { everyMs: 21_600_000 },
});
const metrics = createMetrics();
/** Instant of elapsed 0. */
const epochMs = Date.UTC(2026, 10, 20, 8);
/** Known to the database from the beginning: a build's first start wakes all shards, which is not what suites are about. */
const buildId = 'build-1';

function bootOf(clouds: Clouds, options: Options): Boot {
  return (ports) => {
    const { store, providers, replays, signals, clock, rng, worker } = ports;
    return createEngine({
      store,
      providers,
      replays,
      signals,
      clock,
      rng,
      options,
      metrics,
      registry: reconcilersOf(clouds, ports.call),
      log: logger(ports.log),
      buildId,
      holder: worker,
    });
  };
}

/** Keeps warnings and errors, for the report and for O11. */
function logger(write: (line: string) => void): Logger {
  const line = (level: string) => (fields: object, message: string) =>
    write(`${level} ${message} ${JSON.stringify(fields, plainError)}`);
  const quiet = (): void => undefined;
  const made: Logger = { debug: quiet, info: quiet, warn: line('warn'), error: line('error'), child: () => made };
  return made;
}

function plainError(_key: string, value: unknown): unknown {
  return value instanceof Error
    ? `${value.stack ?? value.message} ${value.cause instanceof Error ? value.cause.message : ''}`
    : value;
}

const blind: Truth = { check: () => undefined };

/** A world without a worker yet. The same seed, and the same calls on it, give the same effects. */
export function createWorld(input: WorldOptions): World {
  const { seed, clock = createTimeline(), duplicatesAllowed = false, crowd = false, store, rng } = input;
  const clouds = input.cloud ?? createClouds(seed, () => epochMs + clock.elapsed());
  const bare = createBareWorld({
    seed,
    clock,
    epochMs,
    order: input.order ?? 'fifo',
    boot: bootOf(clouds, crowd ? crowdOptions : options),
    ...(crowd ? { latencyMs: 1 } : {}),
    ...(store === undefined ? {} : { store }),
    ...(rng === undefined ? {} : { rng }),
  });
  bare.db.engines.add(buildId);
  const kinds = createKindRegistry(reconcilersOf(clouds, () => new Promise(() => undefined)).map((one) => one.kind));
  const agent = createAgent(bare, kinds);
  const truth = crowd ? blind : watchOracles({ world: bare, clouds, scenarios, duplicatesAllowed });
  const prepare = async (...prepared: readonly Scenario[]): Promise<void> => {
    await agent.apply(workspaceKey, { undoWindowHours: 0 });
    bare.startWorker('w1');
    const needs = prepared.flatMap((scenario) => scenario.needs);
    for (const { key, spec } of needs) await agent.apply(key, spec);
    await expectReady(world, [workspaceKey, ...needs.map((one) => one.key)], 600_000);
    const plants = prepared.flatMap(({ plant }) => plant ?? []);
    for (const plant of plants) plant(clouds);
    // Long enough ago that no read lags behind it: the provider's users are told apart from its lag.
    if (plants.length > 0) await bare.run(60_000);
  };
  const world: World = { ...bare, clouds, agent, kinds, truth, prepare };
  return world;
}

/** The key under which a scenario declares its row. */
export function subjectKey(scenario: Scenario): ResourceKey {
  return keyOf(scenario.kind, 'subject');
}

/** Whether the row is Ready for its present generation. */
export function isReady(row: ResourceRow | null): boolean {
  return row !== null && row.observedGeneration === row.generation && storedReady(row);
}

/** Runs until all are ready; throws what stands in the way. */
async function expectReady(world: World, keys: readonly ResourceKey[], withinMs: number): Promise<void> {
  const { agent } = world;
  const done = await world.until(() => keys.every((key) => isReady(agent.row(key))), withinMs);
  if (done) return;
  throw new Error(
    `O1: not ready within ${String(withinMs)} ms: ${keys.map((key) => describeRow(agent, key)).join('; ')}`,
  );
}

/** What a row says of itself, for messages of failing runs. */
export function describeRow(agent: Agent, key: ResourceKey): string {
  const row = agent.row(key);
  if (row === null) return `${key.kind}/${key.name} is gone`;
  const said = row.conditions.map((one) => `${one.type}=${one.status}/${one.reason} (${one.message})`);
  return `${key.kind}/${key.name} generation ${String(row.generation)} observed ${String(row.observedGeneration)}: ${said.join(', ')}`;
}
