import { platformShard, shardOf } from '#resources/shard.ts';
import { nextLink, platformWorkspace } from './audit-chain.ts';
import { insertAudit } from './queries/insert-audit.ts';
import { lockShard } from './queries/lock-shard.ts';
import { readChainHead } from './queries/read-chain-head.ts';
import { readRequest } from './queries/read-request.ts';
import { rememberRequest } from './queries/remember-request.ts';
import { RequestRepeated, type Recording } from './recording.ts';
import type { Tx } from './sql-transaction.ts';
import { timeText } from './time-text.ts';

/** Where a workspace's requests and audit chain are; null: the platform's. */
export function chainOf(workspace: string | null): { readonly shard: number; readonly chain: string } {
  return workspace === null
    ? { shard: platformShard, chain: platformWorkspace }
    : { shard: shardOf(workspace), chain: workspace };
}

function remember(
  tx: Tx,
  { shard, chain }: ReturnType<typeof chainOf>,
  { lineage, requestId, bodyDigest, results }: NonNullable<Recording['request']>,
): Promise<unknown> {
  return rememberRequest(tx, shard, chain, lineage, requestId, bodyDigest, JSON.stringify(results));
}

/**
 * Begins a change with its recording, before anything else of the transaction: locks the shard (the first in the order of locks) and reads
 * the head of the chain. Throws RequestRepeated. The answer leaves the recording to be written with COMMIT: call it once the change is
 * made, and not if there was nothing to change. Without a recording it does nothing.
 */
export async function beginRecorded(tx: Tx, recording: Recording | undefined): Promise<() => void> {
  if (recording === undefined) return () => undefined;
  const { workspace, audit, request } = recording;
  const { shard, chain } = chainOf(workspace);
  const [, heads, earlier] = await Promise.all([
    lockShard(tx, shard),
    readChainHead(tx, shard, chain),
    request === undefined ? [] : readRequest(tx, shard, chain, request.lineage, request.requestId),
  ]);
  const [found] = earlier;
  if (found !== undefined) throw new RequestRepeated({ bodyDigest: found.body_digest, results: found.results });
  const { now = 0, seq = null, hash = null } = heads[0] ?? {};
  const link = nextLink(seq === null ? null : { seq, hash: hash ?? '' }, { workspace: chain, at: now }, audit);
  return () =>
    tx.closeWith(async () => {
      await Promise.all([
        insertAudit(tx, shard, JSON.stringify({ ...link, at: timeText(link.at) })),
        request === undefined ? undefined : remember(tx, { shard, chain }, request),
      ]);
    });
}
