import type { EngineStore } from '#controller/store/engine-store.ts';
import type { ProviderStore } from '#controller/store/provider-store.ts';
import type { ReplayStore } from '#controller/store/replay-store.ts';
import type { ResourceStore } from '#controller/store/resource-store.ts';
import { createSqlEngineStore } from '#controller/store/sql-engine-store.ts';
import { createSqlProviderStore } from '#controller/store/sql-provider-store.ts';
import { createSqlReplayStore } from '#controller/store/sql-replay-store.ts';
import { createSqlResourceStore } from '#controller/store/sql-resource-store.ts';
import type { Sql, SqlOptions } from '#controller/store/sql.ts';
import { createDatabase, type TestDatabase } from './postgres.ts';

/** All SQL stores over one database of their own, each logged in as its own role. */
export interface SqlStores extends AsyncDisposable {
  readonly db: TestDatabase;
  /** The controller's pool. */
  readonly sql: Sql;
  readonly engine: EngineStore;
  readonly resources: ResourceStore;
  readonly providers: ProviderStore;
  readonly replays: ReplayStore;
  /** Shards signalled so far. */
  readonly signalled: number[];
  /** Empties every table: as after the migrations. */
  clear(): Promise<void>;
}

export async function createSqlStores(options: Partial<SqlOptions> = {}): Promise<SqlStores> {
  const db = await createDatabase();
  const sql = db.sql('vibn_controller', { max: 8, ...options });
  const signalled: number[] = [];
  const signals = { signal: (shards: readonly number[]) => void signalled.push(...shards) };
  const tables = await db.owner<{ name: string }[]>`
    select table_name as name from information_schema.tables
    where table_schema = 'public' and table_type = 'BASE TABLE' and table_name not in ('shards', 'schema_migrations')`;
  const names = tables.map((table) => table.name).join(', ');
  return {
    db,
    sql,
    engine: createSqlEngineStore({ sql, signals }),
    resources: createSqlResourceStore({
      api: db.sql('vibn_api', { max: 8 }),
      platform: db.sql('vibn_platform'),
      signals,
    }),
    providers: createSqlProviderStore({ sql }),
    replays: createSqlReplayStore({ sql, signals }),
    signalled,
    async clear() {
      signalled.length = 0;
      await db.owner.unsafe(`truncate ${names}`);
      await db.owner`
        update shards set version = 0, trimmed_through = 0, topics_mark = 0, topics_marked_at = statement_timestamp()`;
    },
    [Symbol.asyncDispose]: () => db[Symbol.asyncDispose](),
  };
}
