/** Composition root of the role `api`. `VIBN_API_PORT` 0 takes a free port; the line "Listening" of the log names it. */
import { systemClock, systemRng } from '#controller/clock.ts';
import { createLogger } from '#controller/log.ts';
import type { Logger } from '#controller/log.ts';
import { createMetrics } from '#controller/metrics.ts';
import type { Metrics } from '#controller/metrics.ts';
import { createSqlSignals } from '#controller/store/signals.ts';
import { createSqlAdminStore } from '#controller/store/sql-admin-store.ts';
import { createSqlProviderStore } from '#controller/store/sql-provider-store.ts';
import { createSqlReplayStore } from '#controller/store/sql-replay-store.ts';
import { createSqlResourceStore } from '#controller/store/sql-resource-store.ts';
import { connect } from '#controller/store/sql.ts';
import type { Sql } from '#controller/store/sql.ts';
import { kinds } from '#resources/kinds.ts';
import { createKindRegistry } from '#resources/registry.ts';
import { readConfig } from './config.ts';
import type { ApiConfig } from './config.ts';
import { createApiOptions } from './options.ts';
import { createReaderClient } from './reader-client.ts';
import { createApiServer } from './server.ts';

async function main(): Promise<void> {
  const config = readConfig(process.env);
  if ('problems' in config) {
    for (const problem of config.problems) process.stderr.write(`${problem}\n`);
    process.exit(1);
  }
  const log = createLogger({ level: config.logLevel, role: 'api' });
  const api = compose(config, log);
  try {
    await api.start();
  } catch (error) {
    log.error({ error }, 'The API did not start');
    process.exit(1);
  }
  const stop = (): void => void api.stop().then((code) => process.exit(code));
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

/** The processes' parts, wired once: two logins, one LISTEN session, one server. */
function compose(config: ApiConfig, log: Logger) {
  const [clock, rng, options] = [systemClock, systemRng, createApiOptions()];
  const metrics = createMetrics({ process: true });
  const pool = (url: string, role: string): Sql =>
    connect({ url, role, max: config.poolMax, clock, rng, onStatement: observe(metrics) });
  const [api, platform] = [pool(config.apiUrl, 'vibn_api'), pool(config.platformUrl, 'vibn_platform')];
  const onState = (state: string): void => log.info({ state }, 'Signals');
  const signals = createSqlSignals({ url: config.directUrl, clock, rng, onState });
  const admin = createSqlAdminStore({ api, platform, controller: platform });
  const server = createApiServer({
    stores: {
      resources: createSqlResourceStore({ api, platform, signals }),
      admin,
      providers: createSqlProviderStore({ sql: platform }),
      replays: createSqlReplayStore({ sql: platform, signals }),
    },
    kinds: createKindRegistry(kinds),
    signals,
    metrics,
    clock,
    rng,
    options,
    log,
    reader: createReaderClient({
      url: config.readerUrl,
      token: config.internalToken,
      timeoutMs: options.readerTimeoutMs,
    }),
    keyHmacSecret: config.keyHmacSecret,
    keyEnv: config.keyEnv,
    ready: () => admin.ping(),
  });
  return {
    start: async (): Promise<void> => {
      const address = await server.listen({ host: config.host, port: config.port });
      log.info({ address }, 'Listening');
    },
    /** Answers the exit code. */
    stop: async (): Promise<number> => {
      log.info({}, 'Stopping');
      const closed = server.close().then(() => Promise.all([signals.end(), api.end(), platform.end()]));
      const inTime = await Promise.race([closed.then(() => true), clock.sleep(options.stopMs).then(() => false)]);
      if (!inTime) log.warn({}, 'Did not stop in time');
      return 0;
    },
  };
}

function observe(metrics: Metrics) {
  return (statement: string, durationMs: number, outcome: string): void =>
    metrics.statementSeconds.observe({ statement, outcome }, durationMs / 1_000);
}

await main();
