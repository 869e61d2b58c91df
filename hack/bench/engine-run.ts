import { systemClock, systemRng } from '#controller/clock.ts';
import { createEngine } from '#controller/engine.ts';
import { createLogger } from '#controller/log.ts';
import { createMetrics } from '#controller/metrics.ts';
import { connectStores } from '#controller/process/stores.ts';
import type { EngineStore } from '#controller/store/engine-store.ts';
import type { Settle } from '#controller/store/rows.ts';
import { createSqlEngineStore } from '#controller/store/sql-engine-store.ts';
import { createSqlProviderStore } from '#controller/store/sql-provider-store.ts';
import { createSqlReplayStore } from '#controller/store/sql-replay-store.ts';
import type { AnyReconciler } from '#controller/contract.ts';
import { benchOptions } from './noop-kind.ts';
import { mean } from './stats.ts';

/** Connections of a controller: the default of VIBN_DB_CONNECTIONS. */
export const controllerConnections = 10;

/** A controller composed as controller/main.ts composes it, in this process. `wrap` may look at what passes to its store. */
export function composeEngine(input: {
  readonly url: string;
  readonly reconcilers: readonly AnyReconciler[];
  readonly wrap?: (store: EngineStore) => EngineStore;
}) {
  const [clock, rng, metrics] = [systemClock, systemRng, createMetrics()];
  const log = createLogger({ level: 'silent', role: 'controller' });
  const database = { url: input.url, directUrl: input.url, connections: controllerConnections };
  const { sql, signals, service } = connectStores({ config: { database }, clock, rng, log, metrics });
  const store = createSqlEngineStore({ sql, signals });
  const engine = createEngine({
    store: input.wrap?.(store) ?? store,
    providers: createSqlProviderStore({ sql }),
    replays: createSqlReplayStore({ sql, signals }),
    signals,
    registry: input.reconcilers,
    clock,
    rng,
    log,
    metrics,
    options: benchOptions,
    buildId: 'bench',
    holder: `bench/${process.pid}/${rng.uuid()}`,
  });
  return {
    start: () => engine.start(),
    stop: async (): Promise<void> => {
      await engine.stop();
      await service.stop();
    },
  };
}

/** What a run of the engine over `rows` due rows came to. */
export interface EngineRun {
  readonly perSecond: number;
  /** Mean rows of a claim that found some, and of a settle. */
  readonly claimRows: number;
  readonly settleRows: number;
  /** One settle that was written, as a template for the bare statements. */
  readonly sample: Settle;
}

/** Starts a controller, and stops it when so many Noops were settled. From its first claim to its last settle. */
export async function runEngine(input: {
  readonly url: string;
  readonly reconcilers: readonly AnyReconciler[];
  readonly rows: number;
}): Promise<EngineRun> {
  const [claims, settles]: [number[], number[]] = [[], []];
  const done = Promise.withResolvers<number>();
  let [begun, settled] = [0, 0];
  let sample: Settle | null = null;
  const wrap = (store: EngineStore): EngineStore => ({
    ...store,
    async claim(want) {
      const sentAt = performance.now();
      const taken = await store.claim(want);
      if (taken.length === 0) return taken;
      if (begun === 0) begun = sentAt;
      claims.push(taken.length);
      return taken;
    },
    async settle(shard, some) {
      const results = await store.settle(shard, some);
      sample = some.at(-1) ?? sample;
      settles.push(some.length);
      settled += [...results.values()].filter((result) => result === 'settled').length;
      if (settled >= input.rows) done.resolve(performance.now());
      return results;
    },
  });
  const engine = composeEngine({ ...input, wrap });
  await engine.start();
  const ended = await done.promise;
  await engine.stop();
  if (sample === null) throw new Error('nothing was settled');
  const perSecond = (settled / (ended - begun)) * 1_000;
  return { perSecond, claimRows: mean(claims), settleRows: mean(settles), sample };
}
