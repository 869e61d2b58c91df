import { createKindRegistry } from '#resources/registry.ts';
import { topic } from '#resources/topic.ts';
import type { Clock, Rng } from './clock.ts';
import type { AnyReconciler } from './contract.ts';
import { wakeRate } from './gateway/budgets.ts';
import { createGateway } from './gateway/gateway.ts';
import { createInFlight } from './in-flight.ts';
import type { InFlightPasses } from './in-flight.ts';
import { createInventories } from './inventory.ts';
import { createLeases } from './lease/lease.ts';
import type { Logger } from './log.ts';
import { runLoop, startPass } from './loop.ts';
import type { LoopDeps } from './loop.ts';
import { createMetrics } from './metrics.ts';
import type { Metrics } from './metrics.ts';
import type { Options } from './options.ts';
import { createClaimer, readClaimed } from './queue/claim.ts';
import type { Claimer, ClaimerInput } from './queue/claim.ts';
import { createFlusher } from './queue/flush.ts';
import { createWake } from './queue/wake.ts';
import type { Wake } from './queue/wake.ts';
import { createReplayTask } from './replay/replay-task.ts';
import type { EngineStore } from './store/engine-store.ts';
import type { ProviderStore } from './store/provider-store.ts';
import type { ReplayStore } from './store/replay-store.ts';
import type { Signals } from './store/resource-store.ts';
import type { Service } from './process/supervisor.ts';
import { createSweep } from './sweep.ts';
import { createAnnouncement, createDrain, createFiring } from './tasks.ts';
import type { CredentialDigest } from './tasks.ts';

export interface EngineInput {
  readonly store: EngineStore;
  readonly providers: ProviderStore;
  readonly replays: ReplayStore;
  readonly signals: Signals;
  /** One reconciler for each kind. */
  readonly registry: readonly AnyReconciler[];
  readonly clock: Clock;
  readonly rng: Rng;
  readonly options: Options;
  readonly log: Logger;
  readonly metrics?: Metrics;
  /** Names the code that runs; one not seen before wakes what stalled on a bug. */
  readonly buildId: string;
  /** Names this process; unique among all that run. */
  readonly holder: string;
  readonly credentials?: readonly CredentialDigest[];
}

/** The controller of one process: the loop over work and what runs beside it. Any number of them may share the stores. */
export interface Engine {
  /** Resolves once work is being looked for. */
  start(): Promise<void>;
  /**
   * Stops claiming, lets passes in flight finish within drainMs, and gives back the rows of which nothing was sent. A row with an open
   * mutating call is not given back: its lease must cover the call.
   */
  stop(): Promise<void>;
  /** Looks for due work now, without waiting for a signal or the poll. */
  tick(): void;
}

/** Assembles an engine. All time is the clock's, all randomness the rng's. */
export function createEngine(input: EngineInput): Engine {
  const { clock, log, store, options, holder } = input;
  const metrics = input.metrics ?? createMetrics();
  const gateway = createGateway({ ...input, metrics, options: options.gateway });
  const kinds = createKindRegistry(input.registry.map((reconciler) => reconciler.kind));
  const onCount = (count: number): void => metrics.passesInFlight.set(count);
  const inFlight = createInFlight({ clock, options: options.engine, onCount });
  const known = kinds.all.map((kind) => kind.name);
  const claimerInput = { store, holder, clock, options: options.engine, kinds: known };
  const { claimer, wake } = createIntake(input, metrics, claimerInput);
  const inventories = createInventories({ clock, max: options.engine.inventoriesMax });
  const passDeps = { ...input, gateway, kinds, inventories, options: options.engine };
  const flusher = createFlusher({
    store,
    clock,
    log,
    options: options.engine,
    onFlushed: (shard) => wake.settled(shard),
    underWay: (shard) => inFlight.countOf(shard),
  });
  const { firing, services } = createServices(input, metrics);
  const onLost = (): void => metrics.leaseLosses.inc({ when: 'renewal' });
  const deps: LoopDeps = {
    wake,
    inFlight,
    holder,
    metrics,
    claimer,
    leases: createLeases({ store, holder, clock, log, options: options.engine, onLost }),
    reconcilers: new Map(input.registry.map((reconciler) => [reconciler.kind.name, reconciler])),
    finish: {
      pass: passDeps,
      flusher,
      wake,
      fire: (name) => firing.fire(name, options.gateway.defaultBudget.ratePerSecond),
    },
  };
  let loop: Promise<void> = Promise.resolve();
  return {
    tick: () => wake.poke([]),
    async start() {
      await gateway.start({
        holder,
        leaseMs: options.engine.leaseMs,
        kinds: known,
        onThawed: (provider, account) =>
          firing.fire(topic.provider(provider, account), wakeRate(provider, options.gateway)),
        onClosed: () => firing.carryOn(),
        onProbe: (claim, sentAt) => {
          // Claimed while we stop: its lease lapses, and another replica probes.
          if (wake.isStopped()) return;
          void readClaimed(claimerInput, [claim], sentAt).then(
            (batch) => batch.claimed.forEach((claimed) => startPass(deps, { claimed, batch, probe: true })),
            (error: unknown) => log.warn({ error, uid: claim.uid }, 'A probe could not be read'),
          );
        },
      });
      for (const service of services) await service.start();
      wake.start();
      loop = runLoop(deps);
    },
    async stop() {
      wake.stop();
      await loop;
      await drain(inFlight, input);
      await flusher.drained();
      for (const service of services.toReversed()) await service.stop();
      await gateway.stop();
    },
  };
}

/** What finds work. The claimer hears of signalled shards at once, also while it goes through the others. */
function createIntake(
  input: EngineInput,
  metrics: Metrics,
  claimerInput: ClaimerInput,
): { claimer: Claimer; wake: Wake } {
  const claimer = createClaimer(claimerInput);
  const wake = createWake({
    ...input,
    options: input.options.engine,
    onWake: (source) => metrics.wakes.inc({ source }),
    onSignal: (shards) => claimer.urge(shards),
  });
  return { claimer, wake };
}

/** What runs beside the loop. */
function createServices(
  input: EngineInput,
  metrics: Metrics,
): { firing: ReturnType<typeof createFiring>; services: readonly Service[] } {
  const { clock, rng, log, store, providers, replays, options, holder, buildId } = input;
  const tasks = { engine: store, providers, clock, log, metrics, options: options.tasks };
  const firing = createFiring(tasks);
  const kinds = createKindRegistry(input.registry.map((reconciler) => reconciler.kind));
  const services = [
    firing,
    createDrain(tasks),
    createAnnouncement({
      ...tasks,
      firing,
      buildId,
      credentials: input.credentials ?? [],
      ratePerSecond: options.gateway.defaultBudget.ratePerSecond,
    }),
    createSweep({ engine: store, clock, rng, log, metrics, options: options.sweep }),
    createReplayTask({ replays, kinds, holder: `${holder}/replay`, clock, log, metrics, options: options.replay }),
  ];
  return { firing, services };
}

/** Waits for passes in flight, then gives back those that sent nothing. */
async function drain(inFlight: InFlightPasses, { clock, store, options, log }: EngineInput): Promise<void> {
  const over = new AbortController();
  await Promise.race([inFlight.empty(), clock.sleep(options.engine.drainMs, over.signal)]);
  over.abort();
  const left = inFlight.all();
  for (const { scope } of left) scope.record.closed = true;
  const unsent = left.filter(({ scope }) => scope.record.sentMutations === 0).map(({ scope }) => scope.fence);
  if (left.length > 0) log.warn({ left: left.length, givenBack: unsent.length }, 'Passes were broken off at the stop');
  if (unsent.length > 0) await store.release(unsent).catch(() => undefined);
}
