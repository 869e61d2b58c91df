import { z } from 'zod';

/**
 * Every limit of the controller, with its unit last in the name, its default and the range that makes sense (law 11).
 * Environment variables reach these only through controller/config.ts.
 */

/** A whole number of milliseconds. */
const ms = (standard: number, min: number, max: number) => z.int().min(min).max(max).default(standard);
/** A whole number of things. */
const count = (standard: number, min: number, max: number) => z.int().min(min).max(max).default(standard);

/** One rate bucket: refilled at `ratePerSecond` up to `burst`, shared by all replicas. */
export const budgetSchema = z.strictObject({
  ratePerSecond: z.number().min(0.01).max(10_000),
  burst: z.number().min(1).max(20_000),
});
export type Budget = z.output<typeof budgetSchema>;

/** Claims, passes, settles (architecture §5; the numbers are argued there). */
const engine = z.strictObject({
  /**
   * Passes at once in this process, and claims are of half of them: with 64, statements of 31 rows cost a third more a row; more let more
   * rows wait for a slow provider within the time of a pass.
   */
  slots: count(128, 1, 1_000),
  /** While all passes end within `quickMs`, up to so many times as many (queue/window.ts). */
  quickFactor: count(3, 1, 8),
  quickMs: ms(250, 1, 10_000),
  /** And while nothing has become due by a signal for so long: what is urgent does not queue behind routine. */
  urgentMs: ms(1_000, 0, 60_000),
  /** Claims under way at once, of different shards. */
  claimsAtOnce: count(2, 1, 8),
  leaseMs: ms(15_000, 1_000, 120_000),
  renewEveryMs: ms(5_000, 100, 60_000),
  /** Longest pass, unless the kind's longest call + 30 s is more. */
  passMs: ms(60_000, 1_000, 300_000),
  /** An idle worker looks for due work this often even if no wake-up reaches it. */
  pollMs: ms(1_000, 10, 60_000),
  /** After a claim that failed it is tried again in this time, doubling up to the poll's. */
  claimRetryMs: ms(50, 1, 10_000),
  settleBatchMax: count(200, 1, 1_000),
  /** A shard's settles are flushed this long after its first one. */
  settleWaitMs: ms(5, 0, 1_000),
  settleInFlightMax: count(4, 1, 32),
  backoffFirstMs: ms(1_000, 1, 60_000),
  backoffMaxMs: ms(300_000, 1_000, 3_600_000),
  /** Every parked row is due again within this, ± 20 %, whatever its topics do. */
  parkedMs: ms(600_000, 1_000, 3_600_000),
  /** Unknown outcomes are looked at after this, doubling to the next figure. */
  unknownFirstMs: ms(10_000, 10, 600_000),
  unknownMaxMs: ms(60_000, 10, 600_000),
  /** Undecided this long after give_up_at: NeedsDecision. */
  decideAfterMs: ms(600_000, 1_000, 3_600_000),
  /** Graceful stop: passes in flight may finish within this. */
  drainMs: ms(10_000, 0, 60_000),
  /** A pass may take this much longer than the kind's longest call. */
  passMarginMs: ms(30_000, 0, 120_000),
  /** Signals within this of the first one are one wake-up. */
  wakeDebounceMs: ms(10, 0, 1_000),
  /** A throttled row that is not Ready says RateLimited after this. */
  throttledVisibleMs: ms(30_000, 1_000, 600_000),
  /** Topics one row may listen to. */
  listenersMax: count(1_000, 10, 10_000),
  /** Rows that one list of a pass may answer: more is an error, never a shorter list. */
  listedMax: count(2_000, 10, 10_000),
  /** Children one owner may declare. */
  childrenMax: count(500, 1, 1_000),
  /** Shared listings kept in memory. */
  inventoriesMax: count(1_000, 1, 100_000),
  /** An observation or plan over this is journalled as its digest only. */
  journalBytesMax: count(65_536, 1_024, 1_048_576),
  journalCallsMax: count(64, 1, 1_000),
  /** The answer of a send, and a settle, are written again this often when the database does not answer. */
  writeTriesMax: count(4, 1, 20),
  writeRetryMs: ms(500, 1, 10_000),
  /** Destructive actions of one workspace within the window. */
  destructionsMax: count(20, 1, 1_000),
  destructionWindowMs: ms(600_000, 1_000, 3_600_000),
  /** Re-creates of one provider account within the window: this, or 1 % of what exists if that is more. */
  recreatesMax: count(3, 1, 1_000),
  recreateWindowMs: ms(600_000, 1_000, 3_600_000),
});

/** The provider gateway. */
const gateway = z.strictObject({
  /** Calls at once per provider account and process. */
  concurrency: count(64, 1, 1_000),
  /** By provider; wins over `concurrency`. */
  concurrencyOf: z.record(z.string(), z.int().min(1).max(1_000)).default({}),
  /** Small limits shared by all replicas, by provider (≤ 10), e.g. the registrar's connections: leased slots. */
  slotsOf: z.record(z.string(), z.int().min(1).max(10)).default({}),
  slotLeaseMs: ms(150_000, 1_000, 600_000),
  /** By bucket name: "gcs" (every call of the provider) and "gcs:buckets.write" (a family of operations on top). */
  budgets: z.record(z.string(), budgetSchema).default({}),
  /** For a provider that `budgets` does not name. */
  defaultBudget: budgetSchema.default({ ratePerSecond: 50, burst: 100 }),
  tokensEveryMs: ms(1_000, 10, 10_000),
  /** Leased tokens that nobody used are forgotten after this. */
  tokensExpireMs: ms(2_000, 10, 20_000),
  /** A send begins within this of the start of `beforeSend`, else that is asked again. */
  beginWithinMs: ms(2_000, 10, 2_000),
  /** Breakers, freezes and blocks of other replicas are seen this late at most. */
  refreshEveryMs: ms(1_000, 10, 10_000),
  /** A call that an open breaker would refuse looks whether it is still open, unless somebody looked within this. */
  lookAgainMs: ms(100, 0, 10_000),
  opensAtUnavailable: count(5, 1, 100),
  opensAtCredential: count(3, 1, 100),
  probeEveryMs: ms(5_000, 10, 60_000),
  probeCredentialEveryMs: ms(30_000, 10, 600_000),
  /** Longest hold that a provider's Retry-After may cause. */
  blockMaxMs: ms(300_000, 1_000, 3_600_000),
  /** Hold after a 429 that names no time. */
  blockDefaultMs: ms(2_000, 10, 60_000),
  /** Canada only (law 9). Compared without regard to case. */
  locations: z.array(z.string().min(1)).min(1).default(['northamerica-northeast1', 'ca-central-1']),
});

/** Replays (architecture §5). */
const replay = z.strictObject({
  leaseMs: ms(15_000, 1_000, 60_000),
  askEveryMs: ms(100, 10, 1_000),
  checkEveryMs: ms(1_000, 10, 10_000),
  idleEveryMs: ms(1_000, 10, 60_000),
  /** A rank begins when each item before it is done or was asked this long ago. */
  rankPatienceMs: ms(60_000, 100, 600_000),
  /** Asked at most in one statement. */
  askBatchMax: count(500, 1, 5_000),
  /** Replays that one controller leads at once. */
  lanes: count(2, 1, 16),
});

/** Trimming by age, one shard after the other. */
const sweep = z.strictObject({
  /** One round over all shards. */
  everyMs: ms(600_000, 1_000, 86_400_000),
  tombstoneMs: ms(86_400_000, 1_000, 2_592_000_000),
  passMs: ms(604_800_000, 1_000, 7_776_000_000),
  /** Keys that were revoked or have expired; the audit log goes on naming them. */
  deadKeyMs: ms(7_776_000_000, 1_000, 34_560_000_000),
  /** Topics without listeners. */
  topicMs: ms(3_600_000, 1_000, 86_400_000),
  /** Done intents of a row that passes see, of each family; the older ones are kept as evidence and never sent again. */
  doneIntentsKept: count(100, 10, 10_000),
  batchMax: count(500, 1, 10_000),
  /** Batches of one shard in one visit, so that one busy tenant does not hold up the round. */
  batchesPerVisitMax: count(20, 1, 1_000),
});

/** Background tasks of the engine. */
const tasks = z.strictObject({
  /** Topics with more listeners than one firing wakes are looked for this often. */
  drainEveryMs: ms(1_000, 10, 10_000),
  drainBatchMax: count(500, 1, 5_000),
  /** Between two chunks of a topic that is being drained. */
  drainGapMs: ms(50, 0, 10_000),
  /** Topics that span shards are fired one shard after the other, this far apart. */
  fireShardGapMs: ms(5, 0, 1_000),
  /** A replica that dies while firing a topic in a shard holds it up for this. */
  fireLeaseMs: ms(15_000, 1_000, 60_000),
  /** Firings that others asked for are looked for this often. */
  fireIdleMs: ms(5_000, 10, 600_000),
  /** What waits for a new build is woken again so often and so far apart: while it rolls out, one of before may take it and fail again. */
  engineAgainTimes: count(5, 0, 100),
  engineAgainMs: ms(60_000, 10, 600_000),
  /** A task that failed is tried again after this, doubling to 30 times it. */
  retryMs: ms(1_000, 10, 60_000),
});

/** The private listener of the reader role. */
const reader = z.strictObject({
  bodyBytesMax: count(1_048_576, 1_024, 10_485_760),
  changesMax: count(200, 1, 200),
  /** Rows that one plan may read: the named ones and what they refer to. */
  rowsMax: count(2_000, 1, 10_000),
  /** One provider call of a look; the API waits 30 s for the whole answer. */
  lookCallMs: ms(20_000, 100, 60_000),
  planValidMs: ms(3_600_000, 1_000, 86_400_000),
  /** Fresh looks at once in one request. */
  looksAtOnce: count(8, 1, 64),
});

/** Processes: start and stop. */
const processes = z.strictObject({
  /** From SIGTERM to exit. */
  stopMs: ms(15_000, 100, 60_000),
  /** A service that does not stop within this is left behind. */
  serviceStopMs: ms(12_000, 100, 60_000),
});

export const optionsSchema = z.strictObject({
  engine: engine.prefault({}),
  gateway: gateway.prefault({}),
  replay: replay.prefault({}),
  sweep: sweep.prefault({}),
  tasks: tasks.prefault({}),
  reader: reader.prefault({}),
  process: processes.prefault({}),
});

export type Options = z.output<typeof optionsSchema>;
export type EngineOptions = Options['engine'];
export type GatewayOptions = Options['gateway'];
export type ReplayOptions = Options['replay'];
export type SweepOptions = Options['sweep'];
export type TaskOptions = Options['tasks'];
export type ReaderOptions = Options['reader'];

/** All defaults, or a few members changed; throws a ZodError on what makes no sense. */
export function createOptions(input: z.input<typeof optionsSchema> = {}): Options {
  return optionsSchema.parse(input);
}
