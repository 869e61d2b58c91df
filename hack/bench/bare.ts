import postgres from 'postgres';
import { claimRows } from '#controller/store/engine/claim-rows.ts';
import type { ClaimedRow } from '#controller/store/engine/claim-rows.ts';
import { readRows } from '#controller/store/engine/read-rows.ts';
import { settleChanged } from '#controller/store/engine/settle-changed.ts';
import { settleDoc, unchangedColumns } from '#controller/store/engine/settle-docs.ts';
import { settleUnchanged } from '#controller/store/engine/settle-unchanged.ts';
import { lockShard } from '#controller/store/queries/lock-shard.ts';
import type { Settle } from '#controller/store/rows.ts';
import type { Param, Runner, StatementText } from '#controller/store/statement.ts';

/**
 * The same statements without an engine: claim → read → settle in plain loops, on plain postgres.js with prepared statements. Nothing is
 * decided, no row becomes an object of ours, no lease is held, no provider is asked.
 */
export interface BareInput {
  readonly url: string;
  readonly shards: readonly number[];
  /** Rows that are due. */
  readonly rows: number;
  /** Rows of one claim, and so of one read and one settle. */
  readonly batch: number;
  /** Loops at once; each has its own shards. */
  readonly loops: number;
  readonly connections: number;
  /** What each row is settled with. */
  readonly sample: Settle;
  readonly changing: boolean;
}

/** This driver answers int8 as text. */
type Claimed = Omit<ClaimedRow, 'epoch' | 'wake_seq'> & { readonly epoch: string; readonly wake_seq: string };

const holder = 'bare';
const leaseMs = 15_000;

/** Rows a second. */
export async function runBare(input: BareInput): Promise<number> {
  const sql = postgres(input.url, { max: input.connections, onnotice: () => undefined });
  try {
    // Connected and prepared before the clock starts, as the engine is before its first claim.
    await Promise.all(Array.from({ length: input.connections }, () => sql`select 1`));
    const begun = performance.now();
    const counts = await Promise.all(Array.from({ length: input.loops }, (_, loop) => runLoop(sql, input, loop)));
    const settled = counts.reduce((sum, count) => sum + count, 0);
    if (settled < input.rows) throw new Error(`bare SQL settled ${settled} of ${input.rows} rows`);
    return (settled / (performance.now() - begun)) * 1_000;
  } finally {
    await sql.end({ timeout: 1 });
  }
}

async function runLoop(sql: postgres.Sql, input: BareInput, loop: number): Promise<number> {
  const mine = input.shards.filter((_, index) => index % input.loops === loop);
  let settled = 0;
  for (let shard = mine.shift(); shard !== undefined; shard = mine.shift()) {
    const half = Math.ceil(input.batch / 2);
    const claims = (await claimRows(
      runnerOf(sql),
      shard,
      holder,
      input.batch,
      half,
      leaseMs,
      null,
      null,
    )) as unknown as Claimed[];
    if (claims.length === 0) continue;
    mine.push(shard);
    const uids = claims.map((claim) => claim.uid);
    await readRows(runnerOf(sql), shard, uids);
    const settles = claims.map((claim, place) => settleOf(claim, input, { shard, place }));
    settled += input.changing ? await settleAll(sql, shard, settles) : await touchAll(sql, shard, settles);
  }
  return settled;
}

function settleOf(claim: Claimed, input: BareInput, at: { readonly shard: number; readonly place: number }): Settle {
  const { uid, epoch, wake_seq: wakeSeq } = claim;
  const { sample } = input;
  const status =
    sample.status === undefined ? {} : { status: { ...sample.status, ...differing(sample.status, at.place) } };
  return { ...sample, ...status, shard: at.shard, uid, epoch: Number(epoch), holder, wakeSeq: Number(wakeSeq) };
}

/** Another status in each round, as the engine's passes have. */
function differing(
  status: NonNullable<Settle['status']>,
  place: number,
): Pick<NonNullable<Settle['status']>, 'status'> {
  return { status: { ...status.status, seen: place + performance.now() } };
}

async function touchAll(sql: postgres.Sql, shard: number, settles: readonly Settle[]): Promise<number> {
  return (await settleUnchanged(runnerOf(sql), shard, ...unchangedColumns(settles))).length;
}

async function settleAll(sql: postgres.Sql, shard: number, settles: readonly Settle[]): Promise<number> {
  return await sql.begin(async (tx) => {
    const [lock] = await lockShard(runnerOf(tx), shard);
    const docs = settles.map(settleDoc);
    return (await settleChanged(runnerOf(tx), shard, Number(lock?.version), docs)).length;
  });
}

/** Statements straight to the driver. */
export function runnerOf(sql: postgres.Sql | postgres.TransactionSql): Runner {
  return {
    run: async <Row>({ text }: StatementText, params: readonly Param[]): Promise<readonly Row[]> =>
      (await sql.unsafe(text, params as (string | number)[], { prepare: true })) as unknown as readonly Row[],
  };
}
