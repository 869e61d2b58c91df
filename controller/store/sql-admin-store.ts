import { platformShard, shardOf } from '#resources/shard.ts';
import type { AdminStore } from './admin-store.ts';
import { nextLink, platformWorkspace } from './audit-chain.ts';
import { toKey, type KeyColumns } from './key-columns.ts';
import { toOperation } from './operation-columns.ts';
import { cancelOperation } from './queries/cancel-operation.ts';
import { findKey } from './queries/find-key.ts';
import { insertAudit } from './queries/insert-audit.ts';
import { insertKey } from './queries/insert-key.ts';
import { listKeys } from './queries/list-keys.ts';
import { listOperations } from './queries/list-operations.ts';
import { lockShard } from './queries/lock-shard.ts';
import { ping } from './queries/ping.ts';
import { readChainHead } from './queries/read-chain-head.ts';
import { readRequest } from './queries/read-request.ts';
import { rememberRequest } from './queries/remember-request.ts';
import { revokeKey } from './queries/revoke-key.ts';
import { touchKey } from './queries/touch-key.ts';
import { writePlans } from './queries/write-plans.ts';
import { readAs, writeAs, type ScopedPools } from './sql-scope.ts';
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
    async findKey(id) {
      if (!keyId.test(id)) return null;
      let rows: readonly KeyColumns[] = [];
      const body = async (tx: Tx): Promise<void> => {
        tx.setLocal('vibn.key', id);
        tx.closeWith(async () => {
          rows = await findKey(tx, id);
        });
      };
      await pools.api.transaction('find_key', body, { repeatable: true });
      return rows[0] === undefined ? null : toKey(rows[0]);
    },
    async createKey(scope, key) {
      const { id, secretHash, name, workspace, scopes, lineage, createdAt, expiresAt, ratePerSecond } = key;
      await writeAs(pools, scope, {
        name: 'create_key',
        body: async (tx) =>
          tx.closeWith(() =>
            insertKey(
              tx,
              id,
              secretHash,
              name,
              workspace,
              key.class,
              scopes,
              lineage,
              createdAt,
              expiresAt,
              ratePerSecond,
            ),
          ),
      });
    },
    async listKeys(scope, workspace) {
      const rows = await readAs(pools, scope, { name: 'list_keys', query: (runner) => listKeys(runner, workspace) });
      return rows.map(toKey);
    },
    async revokeKey(scope, id) {
      const rows = await readAs(pools, scope, { name: 'revoke_key', query: (runner) => revokeKey(runner, id) });
      return rows.length > 0;
    },
    async touchKey(id) {
      if (!keyId.test(id)) return;
      await pools.api.transaction(
        'touch_key',
        async (tx) => {
          tx.setLocal('vibn.key', id);
          tx.closeWith(() => touchKey(tx, id));
        },
        { repeatable: true },
      );
    },
  };
}

function createAudit(pools: ScopedPools): Pick<AdminStore, 'audit' | 'findRequest' | 'rememberRequest'> {
  const placeOf = (workspace: string | null): { shard: number; chain: string } =>
    workspace === null
      ? { shard: platformShard, chain: platformWorkspace }
      : { shard: shardOf(workspace), chain: workspace };
  return {
    async audit(scope, workspace, entry) {
      const { shard, chain } = placeOf(workspace);
      await writeAs(pools, scope, {
        name: 'audit',
        body: async (tx) => {
          const [, heads] = await Promise.all([lockShard(tx, shard), readChainHead(tx, shard, chain)]);
          const { now = 0, seq = null, hash = null } = heads[0] ?? {};
          const head = seq === null ? null : { seq, hash: hash ?? '' };
          const link = nextLink(head, { workspace: chain, at: now }, entry);
          tx.closeWith(() => insertAudit(tx, shard, JSON.stringify({ ...link, at: timeText(link.at) })));
        },
      });
    },
    async findRequest(scope, { workspace, lineage, requestId }) {
      const { shard, chain } = placeOf(workspace);
      const [found] = await readAs(pools, scope, {
        name: 'find_request',
        query: (runner) => readRequest(runner, shard, chain, lineage, requestId),
      });
      return found === undefined ? null : { bodyDigest: found.body_digest, results: found.results };
    },
    async rememberRequest(scope, { workspace, lineage, requestId, bodyDigest, results }) {
      const { shard, chain } = placeOf(workspace);
      return await writeAs(pools, scope, {
        name: 'remember_request',
        body: async (tx) => {
          const key = [shard, chain, lineage, requestId] as const;
          const [fresh, [found]] = await Promise.all([
            rememberRequest(tx, ...key, bodyDigest, JSON.stringify(results)),
            readRequest(tx, ...key),
          ]);
          if (fresh.length > 0 || found === undefined) return null;
          return { bodyDigest: found.body_digest, results: found.results };
        },
      });
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
    async cancelOperation(scope, { workspace, uid, key }) {
      const rows = await readAs(pools, scope, {
        name: 'cancel_operation',
        query: (runner) => cancelOperation(runner, shardOf(workspace), workspace, uid, key),
      });
      return rows.length > 0;
    },
  };
}
