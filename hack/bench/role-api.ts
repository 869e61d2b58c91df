import { createMetrics } from '#controller/metrics.ts';
import { systemClock, systemRng } from '#controller/clock.ts';
import { createLogger } from '#controller/log.ts';
import { createSqlSignals } from '#controller/store/signals.ts';
import { createSqlAdminStore } from '#controller/store/sql-admin-store.ts';
import { createSqlProviderStore } from '#controller/store/sql-provider-store.ts';
import { createSqlReplayStore } from '#controller/store/sql-replay-store.ts';
import { createSqlResourceStore } from '#controller/store/sql-resource-store.ts';
import { connect } from '#controller/store/sql.ts';
import type { Sql } from '#controller/store/sql.ts';
import { createKindRegistry } from '#resources/registry.ts';
import { createApiOptions } from '#api/options.ts';
import type { ReaderClient } from '#api/reader-client.ts';
import { createApiServer } from '#api/server.ts';
import { serveParent, tellParent } from './child.ts';
import type { RoleInput } from './child.ts';
import { benchKinds } from './noop-kind.ts';

/** Its reader answers nothing at once: `bench.noop` is a mutation that does nothing. */
const reader: ReaderClient = { read: () => Promise.resolve(null), plan: () => Promise.resolve([]) };
/** Of each of the two pools: the default of VIBN_API_POOL_MAX. */
const poolMax = 10;
/** As many waits as are measured; everything else has its default. */
const apiOptions = createApiOptions({ waitsMax: 100_000, waitsPerTenantMax: 100_000 });

/** The role api in a child process, composed as api/main.ts does, over the no-op kind. */
export async function runApi({ url, platformUrl = url, keyHmacSecret = '' }: RoleInput): Promise<void> {
  const [clock, rng, metrics] = [systemClock, systemRng, createMetrics({ process: true })];
  const onStatement = (statement: string, durationMs: number, outcome: string): void =>
    metrics.statementSeconds.observe({ statement, outcome }, durationMs / 1_000);
  const pool = (of: string, role: string): Sql => connect({ url: of, role, max: poolMax, clock, rng, onStatement });
  const [api, platform] = [pool(url, 'vibn_api'), pool(platformUrl, 'vibn_platform')];
  const signals = createSqlSignals({ url, clock, rng });
  const admin = createSqlAdminStore({ api, platform, controller: platform });
  const server = createApiServer({
    stores: {
      resources: createSqlResourceStore({ api, platform, signals }),
      admin,
      providers: createSqlProviderStore({ sql: platform }),
      replays: createSqlReplayStore({ sql: platform, signals }),
    },
    kinds: createKindRegistry(benchKinds),
    signals,
    metrics,
    clock,
    rng,
    options: apiOptions,
    // Each request writes its line, as in production; stdout goes nowhere.
    log: createLogger({ level: 'info', role: 'api' }),
    reader,
    keyHmacSecret,
    keyEnv: 'bench',
    ready: () => admin.ping(),
  });
  let open = 0;
  server.addHook('onRequest', async () => void (open += 1));
  server.addHook('onResponse', async () => void (open -= 1));
  serveParent({
    open: () => open,
    stop: async () => {
      await server.close();
      await Promise.all([signals.end(), api.end(), platform.end()]);
    },
  });
  const address = await server.listen({ host: '127.0.0.1', port: 0 });
  tellParent({ event: 'ready', port: Number(new URL(address).port) });
}
