import type { Scope } from './resource-store.ts';
import type { Sql } from './sql.ts';
import type { Tx } from './sql-transaction.ts';
import type { Runner } from './statement.ts';

/** The two logins of the API: a workspace's keys go through row-level security, platform keys do not. */
export interface ScopedPools {
  readonly api: Sql;
  readonly platform: Sql;
}

/** Slug of a workspace (kinds.md). What is not one matches no row, and must not get into a SET. */
const slug = /^[a-z][a-z0-9]{2,21}$/;

/** Reads as a scope: one round trip. Behind row-level security the setting and the read travel together. */
export async function readAs<Row>(
  pools: ScopedPools,
  scope: Scope,
  read: { readonly name: string; readonly query: (runner: Runner) => Promise<readonly Row[]> },
): Promise<readonly Row[]> {
  if (scope === 'platform') return await read.query(pools.platform);
  let rows: readonly Row[] = [];
  await pools.api.transaction(
    read.name,
    async (tx) => {
      enter(tx, scope);
      tx.closeWith(async () => {
        rows = await read.query(tx);
      });
    },
    { repeatable: true },
  );
  return rows;
}

/** Runs a transaction as a scope. */
export async function writeAs<T>(
  pools: ScopedPools,
  scope: Scope,
  write: { readonly name: string; readonly body: (tx: Tx) => Promise<T> },
): Promise<T> {
  const pool = scope === 'platform' ? pools.platform : pools.api;
  const body = async (tx: Tx): Promise<T> => {
    enter(tx, scope);
    return await write.body(tx);
  };
  return await pool.transaction(write.name, body, { resolveCommit: true });
}

/** Tells row-level security whose rows this transaction may touch. */
function enter(tx: Tx, scope: Scope): void {
  if (scope === 'platform') return;
  if (!slug.test(scope.workspace)) throw new RangeError(`not a workspace: ${JSON.stringify(scope.workspace)}`);
  tx.setLocal('vibn.workspace', scope.workspace);
}
