import postgres from 'postgres';
import { parseTime } from '#controller/clock.ts';
import { nextLink } from '#controller/store/audit-chain.ts';
import { lockShard } from '#controller/store/queries/lock-shard.ts';
import { readMutationHeads } from '#controller/store/queries/read-mutation-heads.ts';
import { readViewsByKey } from '#controller/store/queries/read-views-by-key.ts';
import { writeNewRows } from '#controller/store/queries/write-new-rows.ts';
import type { RowWrite } from '#controller/store/rows.ts';
import { arrayText } from '#controller/store/sql-arrays.ts';
import { timeText } from '#controller/store/time-text.ts';
import { planWrites } from '#controller/store/write-docs.ts';
import { shardOf } from '#resources/shard.ts';
import { topic } from '#resources/topic.ts';
import { runnerOf } from './bare.ts';
import { noop } from './noop-kind.ts';
import { by, parsed } from './rows.ts';
import type { BenchDatabase } from './server.ts';

/** The transaction of an apply, in plain loops. */
export interface BareMutations {
  /** Declares one new row of a workspace; answers the ms it took. */
  mutate(workspace: string, name: string): Promise<number>;
  end(): Promise<void>;
}

/**
 * What is left of an apply without server, key, admission and store: as a tenant, lock, read, write what a new row writes, commit. Each
 * new row has its transaction, as without a batch.
 */
export function openBareMutations(db: BenchDatabase, connections: number): BareMutations {
  const time = { to: 1184, from: [1184], parse: parseTime, serialize: timeText };
  const texts = { to: 1009, from: [1009], parse: (text: string) => text, serialize: arrayText };
  const int8 = { to: 20, from: [20], parse: Number, serialize: String };
  const plain = { max: connections, fetch_types: false, onnotice: () => undefined };
  const sql = postgres(db.urlOf('vibn_api'), { ...plain, types: { timestamptz: time, texts, int8 } });
  const spec = parsed(noop);
  const mutate = async (workspace: string, name: string): Promise<number> => {
    const begun = performance.now();
    const shard = shardOf(workspace);
    const fires = [topic.ref(noop.name, workspace, name)];
    const key = { workspace, kind: noop.name, name };
    const none = { labels: {}, annotations: {}, owner: null, approved: [] };
    const write: RowWrite = { op: 'insert', uid: crypto.randomUUID(), key, spec, by, fires, ...none };
    await sql.begin(async (tx) => {
      const runner = runnerOf(tx);
      const [, [lock], [head]] = await Promise.all([
        tx.unsafe(`set local vibn.workspace = '${workspace}'`).execute(),
        lockShard(runner, shard),
        readMutationHeads(runner, shard, workspace, [null], [null], [null], [noop.name], [name], fires),
        readViewsByKey(runner, shard, [workspace, workspace], [noop.name, 'Workspace'], [name, workspace]),
      ]);
      const at = head?.now ?? 0;
      const chain = head?.seq === undefined || head.seq === null ? null : { seq: head.seq, hash: head.hash ?? '' };
      const link = nextLink(chain, { workspace, at }, entry);
      const plan = planWrites([write], new Map(), { shard, version: lock?.version ?? 0, at, requestId: null });
      const [docs, links] = [JSON.stringify(plan.docs), JSON.stringify([{ ...link, at: timeText(at) }])];
      await writeNewRows(runner, shard, plan.version, at, docs, plan.fires, '[]', links);
    });
    return performance.now() - begun;
  };
  return { mutate, end: () => sql.end({ timeout: 1 }) };
}

/** As long as a real one. */
const entry = {
  actor: 'a'.repeat(16),
  lineage: 'l'.repeat(16),
  procedure: 'resources.apply',
  outcome: 'ok',
  target: 'Noop/bench/new',
  bodyDigest: 'd'.repeat(64),
  traceId: 't'.repeat(32),
};
