import type { Signals } from '#controller/store/resource-store.ts';
import type { Sql } from '#controller/store/sql.ts';

/** What the engine's store stands on: a pool logged in as vibn_controller, and the hint after a commit that woke somebody. */
export interface SqlEngineStoreOptions {
  readonly sql: Sql;
  readonly signals: Pick<Signals, 'signal'>;
}

/** A call's lease lasts this much longer than the call may (architecture §5, Leases). */
export const leaseMarginMs = 2_000;
