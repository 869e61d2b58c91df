import { lockDeclared } from './engine/lock-declared.ts';
import { readFenced } from './engine/read-fenced.ts';
import { settleChanged } from './engine/settle-changed.ts';
import { settleDoc } from './engine/settle-docs.ts';
import type { DeclareInput } from './engine-store.ts';
import { writeOwnedRows } from './queries/write-owned-rows.ts';
import type { SettleResult } from './rows.ts';
import { gather } from './sql-gather.ts';
import type { Tx } from './sql-transaction.ts';
import type { Sql } from './sql.ts';
import { planWrites, type WritePlan } from './write-docs.ts';

type Outcome<Refusal> = { result: SettleResult } | { result: 'refused'; refusal: Refusal };

/** A declare has no request to remember and no audit entry: the owner's declaration had both. */
const none = '[]';

/**
 * Writes an owner's children and settles the owner, or does neither: the shard's lock and the reads, the pure decision, all locks of
 * `work` in one order, then the two writing statements of mutate and of settle.
 */
export async function settleDeclare<Refusal>(sql: Sql, input: DeclareInput<Refusal>): Promise<Outcome<Refusal>> {
  const { settle, reads, follow, decide } = input;
  const { shard, uid, epoch, holder } = settle;
  return await sql.transaction('settle_declare', async (tx): Promise<Outcome<Refusal>> => {
    const [owner] = await readFenced(tx, shard, uid, epoch, holder);
    if (owner === undefined) return { result: 'fenced' };
    const { workspace } = owner;
    const [look] = (await gather(tx, shard, [{ workspace, reads, follow, childrenOf: uid }])).looks;
    if (look === undefined) return { result: 'fenced' };
    if (look.refusal !== null) throw look.refusal;
    const { snapshot, views } = look;
    const decided = decide(snapshot);
    if ('refused' in decided) return { result: 'refused', refusal: decided.refused };

    const before = new Map(views.map((view) => [view.row.uid, view.row]));
    const point = { shard, version: snapshot.version, at: snapshot.now, requestId: null };
    const plan = planWrites(decided, before, point);
    const uids = [uid, ...plan.rows.map((row) => row.uid)];
    const [held] = await lockDeclared(tx, shard, uids, [...plan.fires, ...settle.fires], uid, epoch, holder);
    if (held === undefined) return { result: 'fenced' };
    write(tx, input, { plan, at: snapshot.now });
    return { result: 'settled' };
  });
}

/** Leaves the writing statements to be sent with COMMIT. The lock is held, so the version between them is known. */
function write<Refusal>(
  tx: Tx,
  { settle }: DeclareInput<Refusal>,
  { plan, at }: { plan: WritePlan; at: number },
): void {
  const { shard } = settle;
  tx.closeWith(async () => {
    await Promise.all([
      plan.rows.length === 0
        ? undefined
        : writeOwnedRows(tx, shard, plan.version, at, JSON.stringify(plan.docs), plan.fires, none, none),
      settleChanged(tx, shard, plan.version, [settleDoc(settle)]),
    ]);
  });
}
