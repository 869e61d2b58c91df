import type { ResourceStore } from '#controller/store/resource-store.ts';
import { createSqlEngineStore } from '#controller/store/sql-engine-store.ts';
import { createSqlProviderStore } from '#controller/store/sql-provider-store.ts';
import { createSqlReplayStore } from '#controller/store/sql-replay-store.ts';
import { createSqlResourceStore } from '#controller/store/sql-resource-store.ts';
import type { LoginRole } from '#controller/store/roles.ts';
import type { Sql, SqlOptions } from '#controller/store/sql.ts';
import type { StoreUnderTest } from '#test/conformance/store-contract/fixture.ts';
import { elapse } from './elapse.ts';
import { createDatabase, onCitus, type TestDatabase } from './postgres.ts';

/** All SQL stores over one database of their own, each logged in as its own role; the contract's helpers take them as they are. */
export interface SqlStores extends StoreUnderTest, AsyncDisposable {
  readonly db: TestDatabase;
  /** The controller's pool. */
  readonly sql: Sql;
  /** Shards signalled so far. */
  readonly signalled: number[];
  /** Empties every table: as after the migrations. */
  clear(): Promise<void>;
}

export interface SqlStoresOptions extends Partial<SqlOptions> {
  /** Answers where a URL of the database leads instead: through a proxy. */
  readonly through?: (db: TestDatabase) => Promise<(url: string) => string>;
}

export async function createSqlStores({ through, ...options }: SqlStoresOptions = {}): Promise<SqlStores> {
  const db = await createDatabase();
  const way = (await through?.(db)) ?? ((url: string) => url);
  const pool = (role: LoginRole, max: number): Sql => db.sql(role, { max, url: way(db.urlOf(role)) });
  const sql = db.sql('vibn_controller', { max: 8, url: way(db.urlOf('vibn_controller')), ...options });
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
    resources: withOwners(
      db,
      createSqlResourceStore({ api: pool('vibn_api', 12), platform: pool('vibn_platform', 4), signals }),
    ),
    providers: createSqlProviderStore({ sql }),
    replays: createSqlReplayStore({ sql, signals }),
    signalled,
    async clear() {
      signalled.length = 0;
      await db.owner.unsafe(`truncate ${names}`);
      await db.owner`
        update shards set version = 0, trimmed_through = 0, topics_mark = 0, topics_marked_at = statement_timestamp()`;
    },
    elapse: (ms) => elapse(db.owner, ms),
    close: async () => undefined,
    [Symbol.asyncDispose]: () => db[Symbol.asyncDispose](),
  };
}

/** Tests declare owned rows through `mutate`; the API's role has no grant to name an owner, so it is done afterwards. */
function withOwners(db: TestDatabase, resources: ResourceStore): ResourceStore {
  return {
    ...resources,
    async mutate(input) {
      const outcome = await resources.mutate(input);
      for (const write of outcome.writes) {
        if (write.op !== 'insert' || write.owner === null) continue;
        const { uid, slot } = write.owner;
        await db.owner`update resources set owner_uid = ${uid}, slot = ${slot} where uid = ${write.uid}`;
      }
      return outcome;
    },
  };
}

/** Resolves once `count` sessions of the database wait for a lock, on any node of a cluster: asked again and again, not slept for. */
export async function sessionsWaiting(db: TestDatabase, count: number): Promise<void> {
  const query = `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  for (let waiting = 0; waiting < count;) waiting = await sumOverNodes(db, query);
}

/** The number that a query of one row and column answers: the server's, or the sum of all nodes of a cluster. */
export async function sumOverNodes(db: TestDatabase, query: string): Promise<number> {
  const everywhere = `select sum(result::bigint) from run_command_on_all_nodes($$${query}$$)`;
  const [row] = await db.owner.unsafe(onCitus() ? everywhere : query).values();
  return Number(row?.[0]);
}

/** A promise and what opens it. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}
