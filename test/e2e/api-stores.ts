import type { EngineStore } from '#controller/store/engine-store.ts';
import type { ProviderStore } from '#controller/store/provider-store.ts';
import { createSqlEngineStore } from '#controller/store/sql-engine-store.ts';
import { createSqlProviderStore } from '#controller/store/sql-provider-store.ts';
import type { ApiStores } from '#api/context.ts';
import { createSqlApiStores } from '#api/sql-stores.ts';
import { createMemoryDatabase, type MemoryDatabase } from '#test/simulation/memory-store/database.ts';
import { createMemorySignals } from '#test/simulation/memory-store/signals.ts';
import { createMemoryStores } from '#test/simulation/memory-store/stores.ts';
import { pooled } from '#test/support/pooler/pooled.ts';
import { createDatabase } from '#test/support/postgres.ts';

/** What is behind the API of a test, but for its keys and audit log, which are in memory. */
export interface Backing {
  readonly stores: Omit<ApiStores, 'admin'>;
  readonly engine: EngineStore;
  /** The controller's. */
  readonly providers: ProviderStore;
  readonly signals: ReturnType<typeof createMemorySignals>;
  /** Tables to look into; a test that does is skipped where they are on Postgres. */
  readonly tables: () => MemoryDatabase;
  readonly close: () => Promise<void>;
}

/**
 * In memory, in tables that may be given; in a run through a pooler on a database of its own: tests that look into the tables in memory, or
 * reach behind them, are skipped there.
 */
export async function openBacking(given: MemoryDatabase | undefined): Promise<Backing> {
  return pooled && given === undefined ? await openSql() : openMemory(given);
}

function openMemory(given?: MemoryDatabase): Backing {
  const signals = createMemorySignals();
  const own = { now: () => Date.now(), committed: (shard: number) => signals.signal([shard]) };
  const db = given ?? createMemoryDatabase(own);
  const { engine, resources, providers, replays } = createMemoryStores(db);
  const stores = { resources, providers, replays };
  return { stores, engine, providers, signals, tables: () => db, close: async () => undefined };
}

async function openSql(): Promise<Backing> {
  const signals = createMemorySignals();
  const db = await createDatabase();
  const [api, platform, controller] = [db.sql('vibn_api'), db.sql('vibn_platform'), db.sql('vibn_controller')];
  return {
    stores: createSqlApiStores({ api, platform, signals }),
    engine: createSqlEngineStore({ sql: controller, signals }),
    providers: createSqlProviderStore({ sql: controller }),
    signals,
    tables: () => {
      throw new Error('The tables are on Postgres: make the test it.skipIf(pooled).');
    },
    close: async () => await db[Symbol.asyncDispose](),
  };
}
