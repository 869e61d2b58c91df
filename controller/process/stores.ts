import type { Clock, Rng } from '#controller/clock.ts';
import type { RoleConfig } from './config.ts';
import type { Logger } from '#controller/log.ts';
import type { Metrics } from '#controller/metrics.ts';
import { createSqlSignals } from '#controller/store/signals.ts';
import { connect } from '#controller/store/sql.ts';
import type { Service } from './supervisor.ts';

export interface ConnectInput {
  readonly config: Pick<RoleConfig, 'database'>;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** The pool of login vibn_controller and the signals, with every statement measured; closed last of all services. */
export function connectStores({ config, clock, rng, log, metrics }: ConnectInput) {
  const { url, directUrl, connections } = config.database;
  const sql = connect({
    url,
    role: 'vibn_controller',
    max: connections,
    clock,
    rng,
    onStatement: (statement, durationMs, outcome) =>
      metrics.statementSeconds.observe({ statement, outcome }, durationMs / 1_000),
  });
  const signals = createSqlSignals({
    url: directUrl,
    clock,
    rng,
    onState: (state) => log.info({ state }, 'Signals changed state'),
  });
  const service: Service = {
    name: 'stores',
    start: () => Promise.resolve(),
    async stop() {
      await signals.end();
      await sql.end();
    },
  };
  return { sql, signals, service };
}
