import { announceIntent } from './engine/announce-intent.ts';
import { answerIntent } from './engine/answer-intent.ts';
import { beginRecreate } from './engine/begin-recreate.ts';
import { intentOf } from './engine/intent-record.ts';
import { markSending } from './engine/mark-sending.ts';
import { retireIntent } from './engine/retire-intent.ts';
import { syncCommit } from './engine/sync-commit.ts';
import { takeClaim } from './engine/take-claim.ts';
import type { EngineStore } from './engine-store.ts';
import type { Tx } from './sql-transaction.ts';
import { leaseMarginMs, type SqlEngineStoreOptions } from './engine/options.ts';

type Intents = Pick<EngineStore, 'announce' | 'markSending' | 'answer' | 'retire' | 'beginRecreate' | 'takeClaim'>;

/** Tries to see a name that somebody else has taken at this very moment. */
const claimTriesMax = 5;

/** The write-ahead records of what must not happen twice. What they say must survive a crash: their commits wait for the disk. */
export function createSqlIntents({ sql, signals }: SqlEngineStoreOptions): Intents {
  return {
    async announce({ shard, uid, epoch, holder }, { effect, nonce, args }) {
      const text = JSON.stringify(args);
      const rows = await announceIntent(sql, shard, uid, epoch, holder, effect, nonce, text);
      return rows[0] === undefined ? null : intentOf(rows[0]);
    },
    async markSending({ shard, uid, epoch, holder }, nonce, callTimeoutMs) {
      const leaseMs = callTimeoutMs + leaseMarginMs;
      let marked: readonly { wake_seq: number }[] = [];
      await sql.transaction('mark_sending', async (tx) => {
        await syncCommit(tx);
        tx.closeWith(async () => {
          marked = await markSending(tx, shard, uid, epoch, holder, nonce, callTimeoutMs, leaseMs);
        });
      });
      return marked[0] === undefined ? null : { wakeSeq: marked[0].wake_seq };
    },
    async answer({ shard, uid, nonce, state, result }) {
      const text = JSON.stringify(result);
      const write = async (tx: Tx): Promise<void> => {
        await syncCommit(tx);
        tx.closeWith(() => answerIntent(tx, shard, uid, nonce, state, text));
      };
      await sql.transaction('answer', write, { repeatable: true });
      signals.signal([shard]);
    },
    async retire({ shard, uid, nonce }) {
      await retireIntent(sql, shard, uid, nonce);
    },
    async beginRecreate({ shard, uid, epoch, holder }) {
      return (await beginRecreate(sql, shard, uid, epoch, holder))[0]?.incarnation ?? null;
    },
    async takeClaim({ kind, externalName, workspace, uid }) {
      for (let tries = 0; tries < claimTriesMax; tries += 1) {
        const [row] = await takeClaim(sql, kind, externalName, workspace, uid);
        if (row !== undefined) return row.uid === uid ? 'ours' : 'taken';
      }
      return 'taken';
    },
  };
}
