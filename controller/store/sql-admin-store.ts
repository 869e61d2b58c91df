import { shardOf } from '#resources/shard.ts';
import type { AdminStore, KeyWish } from './admin-store.ts';
import { toKey, type KeyColumns } from './key-columns.ts';
import { toOperation } from './operation-columns.ts';
import { cancelOperation } from './queries/cancel-operation.ts';
import { countKeys } from './queries/count-keys.ts';
import { findKey } from './queries/find-key.ts';
import { insertKey } from './queries/insert-key.ts';
import { listKeys } from './queries/list-keys.ts';
import { listOperations } from './queries/list-operations.ts';
import { ping } from './queries/ping.ts';
import { readRequest } from './queries/read-request.ts';
import { revokeKey } from './queries/revoke-key.ts';
import { touchKey } from './queries/touch-key.ts';
import { writePlans } from './queries/write-plans.ts';
import { beginRecorded, chainOf } from './sql-recording.ts';
import type { ApiKeyRow } from './rows.ts';
import { laneOfKeys, readAs, writeAs, type ScopedPools } from './sql-scope.ts';
import type { Tx } from './sql-transaction.ts';
import type { Sql } from './sql.ts';
import { timeText } from './time-text.ts';

export interface SqlAdminStoreOptions extends ScopedPools {
  /** The reader's login, for `writePlans`; the API's own may not write plans. */
  readonly controller: Sql;
}

/** AdminStore on Postgres. Workspace scopes go through row-level security, so a foreign key or operation is simply not there. */
export function createSqlAdminStore(options: SqlAdminStoreOptions): AdminStore {
  return {
    ...createKeys(options),
    ...createAudit(options),
    ...createOperations(options),
    async writePlans(workspace, plans) {
      const texts = plans.map((plan) => ({ ...plan, workspace, expiresAt: timeText(plan.expiresAt) }));
      await writePlans(options.controller, shardOf(workspace), JSON.stringify(texts));
    },
    async ping() {
      await ping(options.api);
    },
  };
}

/** A key's id, as it may stand in a SET. What is not one is no key. */
const keyId = /^[\w-]{1,64}$/;

type Keys = Pick<AdminStore, 'findKey' | 'createKey' | 'listKeys' | 'revokeKey' | 'touchKey'>;

function createKeys(pools: SqlAdminStoreOptions): Keys {
  return {
    async findKey(id, whose) {
      if (!keyId.test(id)) return null;
      let rows: readonly KeyColumns[] = [];
      const body = async (tx: Tx): Promise<void> => {
        tx.setLocal('vibn.key', id);
        tx.closeWith(async () => {
          rows = await findKey(tx, id);
        });
      };
      await pools.api.transaction('find_key', body, { repeatable: true, lane: laneOfKeys(whose) });
      return rows[0] === undefined ? null : toKey(rows[0]);
    },
    createKey: (scope, key, wish) =>
      writeAs(pools, scope, { name: 'create_key', body: (tx) => makeKey(tx, key, wish) }),
    async listKeys(scope, { workspace, limit, after = { createdAt: 0, id: '' } }) {
      const rows = await readAs(pools, scope, {
        name: 'list_keys',
        query: (runner) => listKeys(runner, workspace, after.createdAt, after.id, limit + 1),
      });
      return { items: rows.slice(0, limit).map(toKey), more: rows.length > limit };
    },
    async revokeKey(scope, id, recording) {
      return await writeAs(pools, scope, {
        name: 'revoke_key',
        body: async (tx) => {
          const record = await beginRecorded(tx, recording);
          const rows = await revokeKey(tx, id);
          if (rows.length > 0) record();
          return rows.length > 0;
        },
      });
    },
    async touchKey(id, whose) {
      if (!keyId.test(id)) return;
      await pools.api.transaction(
        'touch_key',
        async (tx) => {
          tx.setLocal('vibn.key', id);
          tx.closeWith(() => touchKey(tx, id));
        },
        { repeatable: true, lane: laneOfKeys(whose) },
      );
    },
  };
}

async function makeKey(tx: Tx, key: ApiKeyRow, wish: KeyWish | undefined): Promise<number | null> {
  const { id, secretHash, name, workspace, scopes, lineage, createdAt, expiresAt, ratePerSecond } = key;
  const record = await beginRecorded(tx, wish?.recording);
  // Behind the lock of the shard, which whoever makes a key of this workspace takes.
  const holding = wish === undefined ? 0 : ((await countKeys(tx, workspace))[0]?.holding ?? 0);
  if (wish !== undefined && holding >= wish.holdingMax) return holding;
  await insertKey(tx, id, secretHash, name, workspace, key.class, scopes, lineage, createdAt, expiresAt, ratePerSecond);
  record();
  return null;
}

function createAudit(pools: ScopedPools): Pick<AdminStore, 'audit' | 'findRequest'> {
  return {
    async audit(scope, workspace, entry) {
      const body = async (tx: Tx): Promise<void> => {
        const record = await beginRecorded(tx, { workspace, audit: entry });
        record();
      };
      await writeAs(pools, scope, { name: 'audit', body });
    },
    async findRequest(scope, { workspace, lineage, requestId }) {
      const { shard, chain } = chainOf(workspace);
      const [found] = await readAs(pools, scope, {
        name: 'find_request',
        query: (runner) => readRequest(runner, shard, chain, lineage, requestId),
      });
      return found === undefined ? null : { bodyDigest: found.body_digest, results: found.results };
    },
  };
}

function createOperations(pools: ScopedPools): Pick<AdminStore, 'listOperations' | 'getOperation' | 'cancelOperation'> {
  return {
    async listOperations(scope, { workspace, uid, limit }) {
      const rows = await readAs(pools, scope, {
        name: 'list_operations',
        query: (runner) => listOperations(runner, shardOf(workspace), workspace, uid ?? null, null, limit),
      });
      return rows.map(toOperation);
    },
    async getOperation(scope, { workspace, uid, key }) {
      const rows = await readAs(pools, scope, {
        name: 'get_operation',
        query: (runner) => listOperations(runner, shardOf(workspace), workspace, uid, key, 1),
      });
      return rows[0] === undefined ? null : toOperation(rows[0]);
    },
    async cancelOperation(scope, { workspace, uid, key }, recording) {
      return await writeAs(pools, scope, {
        name: 'cancel_operation',
        body: async (tx) => {
          const record = await beginRecorded(tx, recording);
          const rows = await cancelOperation(tx, shardOf(workspace), workspace, uid, key);
          record();
          return rows.length > 0;
        },
      });
    },
  };
}
