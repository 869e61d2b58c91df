import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import { createRegistry } from '#reconcilers/registry.ts';
import { buildIdOf } from './process/build-id.ts';
import { systemClock, systemRng } from './clock.ts';
import { readControllerConfig } from './process/config.ts';
import { createEngine } from './engine.ts';
import { createMetrics } from './metrics.ts';
import { createPrivateServer } from './process/private-server.ts';
import { runRole } from './process/run-role.ts';
import { ping } from './store/queries/ping.ts';
import { createSqlEngineStore } from './store/sql-engine-store.ts';
import { createSqlProviderStore } from './store/sql-provider-store.ts';
import { createSqlReplayStore } from './store/sql-replay-store.ts';
import { connectStores } from './process/stores.ts';

/** Composition root of the role controller: the loop, with the real clock, Postgres and the providers of the environment. */
const sources = ['./', '../reconcilers/', '../resources/'].map((path) => fileURLToPath(new URL(path, import.meta.url)));

await runRole({
  role: 'controller',
  clock: systemClock,
  configure: () => readControllerConfig(process.env, (env) => createRegistry({ env })),
  build(config, log) {
    const [clock, rng] = [systemClock, systemRng];
    const metrics = createMetrics({ process: true });
    const { sql, signals, service } = connectStores({ config, clock, rng, log, metrics });
    const store = createSqlEngineStore({ sql, signals });
    const dueShards = async (): Promise<readonly number[]> => {
      const shards = await store.dueShards();
      metrics.dueShards.set(shards.length);
      return shards;
    };
    const engine = createEngine({
      store: { ...store, dueShards },
      providers: createSqlProviderStore({ sql }),
      replays: createSqlReplayStore({ sql, signals }),
      signals,
      registry: config.registry.reconcilers,
      credentials: config.registry.credentials,
      clock,
      rng,
      log,
      metrics,
      options: config.options,
      buildId: config.buildId ?? buildIdOf(sources),
      holder: `${hostname().slice(0, 64)}/${process.pid}/${rng.uuid()}`,
    });
    const server = createPrivateServer({
      host: config.host,
      port: config.port,
      clock,
      log,
      metrics,
      ready: async () => void (await ping(sql)),
    });
    const running = { name: 'engine', start: () => engine.start(), stop: () => engine.stop() };
    return config.port === 0 ? [service, running] : [service, server, running];
  },
});
