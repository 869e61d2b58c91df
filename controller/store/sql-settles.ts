import { settleChanged } from './engine/settle-changed.ts';
import { isUnchanged, isVersioned, settleDoc, takesVersion, unchangedColumns } from './engine/settle-docs.ts';
import { settleUnchanged, type SettledRow } from './engine/settle-unchanged.ts';
import type { EngineStore } from './engine-store.ts';
import { lockShard } from './queries/lock-shard.ts';
import type { Settle, SettleResult } from './rows.ts';
import { settleDeclare } from './sql-declare.ts';
import type { SqlEngineStoreOptions } from './engine/options.ts';
import type { Sql } from './sql.ts';

type Settles = Pick<EngineStore, 'settle' | 'settleDeclare'>;

/** Flow step 9 in the store: how passes end. */
export function createSqlSettles({ sql, signals }: SqlEngineStoreOptions): Settles {
  return {
    async settle(shard, settles) {
      if (settles.length === 0) return new Map();
      const rows = await settleRows(sql, shard, settles);
      if (settles.some(takesVersion) || settles.some((one) => one.dueInMs <= 0) || rows.some((row) => row.at_once)) {
        signals.signal([shard]);
      }
      return resultsOf(settles, rows);
    },
    async settleDeclare(input) {
      const outcome = await settleDeclare(sql, input);
      if (outcome.result === 'settled') signals.signal([input.settle.shard]);
      return outcome;
    },
  };
}

/**
 * One statement where the counter is not needed; else a transaction of two: the first takes the shard's lock, the second writes
 * everything, the counter too, and goes with COMMIT.
 */
async function settleRows(sql: Sql, shard: number, settles: readonly Settle[]): Promise<readonly SettledRow[]> {
  if (settles.every(isUnchanged)) return await settleUnchanged(sql, shard, ...unchangedColumns(settles));
  const docs = settles.map(settleDoc);
  if (!settles.some(isVersioned)) return await settleChanged(sql, shard, 0, docs);
  let rows: readonly SettledRow[] = [];
  await sql.transaction('settle', async (tx) => {
    const version = (await lockShard(tx, shard))[0]?.version;
    if (version === undefined) throw new Error(`shard ${shard} is missing: run the migrations`);
    tx.closeWith(async () => {
      rows = await settleChanged(tx, shard, version, docs);
    });
  });
  return rows;
}

function resultsOf(settles: readonly Settle[], rows: readonly SettledRow[]): ReadonlyMap<string, SettleResult> {
  const settled = new Set(rows.map((row) => row.uid));
  return new Map(settles.map(({ uid }) => [uid, settled.has(uid) ? 'settled' : 'fenced']));
}
