import { topic } from '#resources/topic.ts';
import type { ResourceKey } from '#resources/resource.ts';
import { beginFinalizing } from './engine/begin-finalizing.ts';
import { clearFinalizing } from './engine/clear-finalizing.ts';
import { listOthers } from './engine/list-others.ts';
import { removalLook } from './engine/removal-look.ts';
import { removeRow } from './engine/remove-row.ts';
import { settleDoc } from './engine/settle-docs.ts';
import type { EngineStore } from './engine-store.ts';
import { lockShard } from './queries/lock-shard.ts';
import { toResourceRow } from './resource-columns.ts';
import type { Removal, RemovalResult } from './rows.ts';
import type { SqlEngineStoreOptions } from './engine/options.ts';
import type { Tx } from './sql-transaction.ts';

type RemovalMethods = Pick<EngineStore, 'beginFinalizing' | 'clearFinalizing' | 'settleRemoval'>;

/** A second time it finds what the first one wrote, and answers the same. */
const repeatable = { repeatable: true } as const;
/** Dependents named at most (architecture §5, Deletion). */
const dependentsNamedMax = 10;
/** Rows looked at in one statement for dependents. */
const dependentsPageMax = 500;

/** How rows go. Each is a transaction that begins with the shard's lock, so an undelete comes wholly before it or wholly after. */
export function createSqlRemoval({ sql, signals }: SqlEngineStoreOptions): RemovalMethods {
  return {
    beginFinalizing: ({ shard, uid, epoch, holder }, { generation, destroysData }) =>
      sql.transaction(
        'begin_finalizing',
        async (tx) => {
          const [, rows] = await Promise.all([
            lockShard(tx, shard),
            beginFinalizing(tx, shard, uid, epoch, holder, generation, destroysData),
          ]);
          return rows[0]?.result ?? 'fenced';
        },
        repeatable,
      ),
    clearFinalizing: ({ shard, uid, epoch, holder }) =>
      sql.transaction(
        'clear_finalizing',
        async (tx) => {
          await Promise.all([lockShard(tx, shard), clearFinalizing(tx, shard, uid, epoch, holder)]);
        },
        repeatable,
      ),
    async settleRemoval(removal) {
      let removed = false;
      const verdict = await sql.transaction('settle_removal', async (tx): Promise<RemovalResult | null> => {
        removed = false;
        const look = await lookAt(tx, removal);
        if (!('kind' in look)) return look;
        tx.closeWith(async () => {
          removed = (await remove(tx, removal, look.kind)).length > 0;
        });
        return null;
      });
      if (verdict !== null) return verdict;
      if (removed) signals.signal([removal.settle.shard]);
      return { result: removed ? 'removed' : 'fenced' };
    },
  };
}

/** What stands in the way, or the row's kind if nothing does. */
async function lookAt(tx: Tx, removal: Removal): Promise<RemovalResult | { readonly kind: string }> {
  const { shard, uid, epoch, holder, generation } = removal.settle;
  const [, [row]] = await Promise.all([lockShard(tx, shard), removalLook(tx, shard, uid, epoch, holder)]);
  if (row === undefined) return { result: 'fenced' };
  if (row.generation !== generation || !(row.deleted || removal.expired === true)) return { result: 'moved' };
  const dependents = await dependentsOf(tx, removal, row.workspace);
  const { children, open_intent: openIntent, kind } = row;
  const free = children === 0 && dependents.length === 0 && !openIntent;
  return free ? { kind } : { result: 'blocked', children, dependents, openIntent };
}

/** The first rows, by uid, that need the one which is to go. */
async function dependentsOf(tx: Tx, removal: Removal, workspace: string): Promise<ResourceKey[]> {
  const { settle, unrelatedKinds, needs } = removal;
  const found: ResourceKey[] = [];
  for (let after = ''; found.length < dependentsNamedMax;) {
    const page = await listOthers(tx, settle.shard, workspace, unrelatedKinds, after, dependentsPageMax);
    const rows = page.map(toResourceRow).filter((row) => row.uid !== settle.uid && needs(row));
    for (const row of rows) found.push({ workspace, kind: row.kind, name: row.name });
    const last = page.at(-1);
    if (last === undefined || page.length < dependentsPageMax) break;
    after = last.uid;
  }
  return found.slice(0, dependentsNamedMax);
}

function remove(tx: Tx, { settle, retained, claim }: Removal, kind: string): Promise<readonly { uid: string }[]> {
  const fires = claim === null ? settle.fires : [...settle.fires, topic.claim(kind, claim)];
  const doc = settleDoc({ ...settle, fires });
  return removeRow(tx, settle.shard, doc, JSON.stringify(retained), claim, settle.generation);
}
