import type { Signals } from '#controller/store/resource-store.ts';
import { createSqlAdminStore } from '#controller/store/sql-admin-store.ts';
import { createSqlProviderStore } from '#controller/store/sql-provider-store.ts';
import { createSqlReplayStore } from '#controller/store/sql-replay-store.ts';
import { createSqlResourceStore } from '#controller/store/sql-resource-store.ts';
import type { Sql } from '#controller/store/sql.ts';
import type { ApiStores } from './context.ts';

export interface SqlApiStoresInput {
  /** Logins of vibn_api and vibn_platform. */
  readonly api: Sql;
  readonly platform: Sql;
  readonly signals: Signals;
}

/** The stores of the API on Postgres, each behind the login that it has in production. */
export function createSqlApiStores({ api, platform, signals }: SqlApiStoresInput): ApiStores {
  return {
    resources: createSqlResourceStore({ api, platform, signals }),
    admin: createSqlAdminStore({ api, platform, controller: platform }),
    providers: createSqlProviderStore({ sql: platform }),
    replays: createSqlReplayStore({ sql: platform, signals }),
  };
}
