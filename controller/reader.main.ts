import { createRegistry } from '#reconcilers/registry.ts';
import { createKindRegistry } from '#resources/registry.ts';
import { systemClock, systemRng } from './clock.ts';
import { readReaderConfig } from './process/config.ts';
import { createGateway } from './gateway/gateway.ts';
import { createInventories } from './inventory.ts';
import { createMetrics } from './metrics.ts';
import { createPrivateServer } from './process/private-server.ts';
import { planChanges } from './reader/plan.ts';
import { readOp } from './reader/read.ts';
import { addReaderRoutes } from './reader/server.ts';
import { runRole } from './process/run-role.ts';
import { createSqlAdminStore } from './store/sql-admin-store.ts';
import { createSqlEngineStore } from './store/sql-engine-store.ts';
import { createSqlProviderStore } from './store/sql-provider-store.ts';
import { connectStores } from './process/stores.ts';

/** Composition root of the role reader: answers what only a provider, or the signing key, can answer. Writes `plans` and nothing else. */
await runRole({
  role: 'reader',
  clock: systemClock,
  configure: () => readReaderConfig(process.env, (env) => createRegistry({ env })),
  build(config, log) {
    const [clock, rng] = [systemClock, systemRng];
    const metrics = createMetrics({ process: true });
    const { sql, signals, service } = connectStores({ config, clock, rng, log, metrics });
    const store = createSqlEngineStore({ sql, signals });
    const admin = createSqlAdminStore({ api: sql, platform: sql, controller: sql });
    const providers = createSqlProviderStore({ sql });
    const gateway = createGateway({ providers, store, clock, rng, options: config.options.gateway, log, metrics });
    const { reconcilers, readers } = config.registry;
    const kinds = createKindRegistry(reconcilers.map((reconciler) => reconciler.kind));
    const { engine: options, reader } = config.options;
    const inventories = createInventories({ clock, max: options.inventoriesMax });
    const planDeps = {
      pass: { store, providers, gateway, kinds, inventories, clock, rng, options, log },
      admin,
      reconcilers: new Map(reconcilers.map((reconciler) => [reconciler.kind.name, reconciler])),
      options: reader,
    };
    const readDeps = { engine: store, gateway, readers, clock, options: reader };
    const server = createPrivateServer({
      host: config.host,
      port: config.port,
      clock,
      log,
      metrics,
      bodyBytesMax: reader.bodyBytesMax,
      ready: () => admin.ping(),
      routes: (app) =>
        addReaderRoutes(app, {
          internalToken: config.internalToken,
          clock,
          log,
          metrics,
          answers: {
            '/plan': (body) => planChanges(planDeps, body),
            '/read': (body) => readOp(readDeps, body),
          },
        }),
    });
    const watching = { name: 'gateway', start: () => gateway.start(), stop: () => gateway.stop() };
    return [service, watching, server];
  },
});
