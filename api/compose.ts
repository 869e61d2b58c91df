import type { FastifyInstance } from 'fastify';
import { systemClock, systemRng } from '#controller/clock.ts';
import type { Logger } from '#controller/log.ts';
import { createMetrics } from '#controller/metrics.ts';
import { createSqlSignals } from '#controller/store/signals.ts';
import { connect } from '#controller/store/sql.ts';
import type { Sql } from '#controller/store/sql.ts';
import type { KindRegistry } from '#resources/registry.ts';
import type { ApiConfig } from './config.ts';
import type { ApiOptions } from './options.ts';
import type { ReaderClient } from './reader-client.ts';
import { createApiServer } from './server.ts';
import { createSqlApiStores } from './sql-stores.ts';

export interface ComposeInput {
  readonly config: Pick<ApiConfig, 'apiUrl' | 'platformUrl' | 'directUrl' | 'poolMax' | 'keyHmacSecret' | 'keyEnv'>;
  readonly kinds: KindRegistry;
  readonly options: ApiOptions;
  readonly reader: ReaderClient;
  readonly log: Logger;
}

export interface ComposedApi {
  /** It does not listen yet. */
  readonly server: FastifyInstance;
  /** Answers what is open, then ends the connections. */
  readonly close: () => Promise<void>;
}

/** The parts of an API process, wired once: two logins, one LISTEN session, one server. */
export function composeApi({ config, kinds, options, reader, log }: ComposeInput): ComposedApi {
  const [clock, rng, metrics] = [systemClock, systemRng, createMetrics({ process: true })];
  const onStatement = (statement: string, durationMs: number, outcome: string): void =>
    metrics.statementSeconds.observe({ statement, outcome }, durationMs / 1_000);
  const pool = (url: string, role: string): Sql => connect({ url, role, max: config.poolMax, clock, rng, onStatement });
  const [api, platform] = [pool(config.apiUrl, 'vibn_api'), pool(config.platformUrl, 'vibn_platform')];
  const onState = (state: string): void => log.info({ state }, 'Signals');
  const signals = createSqlSignals({ url: config.directUrl, clock, rng, onState });
  const stores = createSqlApiStores({ api, platform, signals });
  const { keyHmacSecret, keyEnv } = config;
  const server = createApiServer({
    stores,
    kinds,
    signals,
    metrics,
    clock,
    rng,
    options,
    log,
    reader,
    keyHmacSecret,
    keyEnv,
    ready: () => stores.admin.ping(),
  });
  return {
    server,
    async close() {
      await server.close();
      await Promise.all([signals.end(), api.end(), platform.end()]);
    },
  };
}
