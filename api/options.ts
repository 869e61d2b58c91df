import { z } from 'zod';

/**
 * Every limit of the API, with its unit last in the name, its default and the range that makes sense (law 11).
 * The controller's own are in controller/options.ts.
 */
const ms = (standard: number, min: number, max: number) => z.int().min(min).max(max).default(standard);
const count = (standard: number, min: number, max: number) => z.int().min(min).max(max).default(standard);

const optionsSchema = z.strictObject({
  /** What one HTTP request may bring (security.md, Input). */
  bodyBytesMax: count(1_048_576, 1_024, 10_485_760),
  /** Request line and headers together; `?input=` of a query by GET must fit. */
  headerBytesMax: count(65_536, 8_192, 1_048_576),
  depthMax: count(32, 4, 128),
  /** Object keys of one call; a list of manifests or changes counts each of its items by itself. */
  keysMax: count(2_000, 10, 100_000),
  /** Members of all lists and objects of one body. */
  valuesMax: count(20_000, 10, 1_000_000),
  /** Calls in one batch. */
  batchMax: count(20, 1, 100),
  /** Time for a request to arrive completely. */
  requestReadMs: ms(15_000, 100, 120_000),
  /** Calls of one workspace under way, watches among them but for waits. */
  callsPerTenantMax: count(2_500, 1, 100_000),
  /** Of what calls of one workspace have sent and are not answered, and of answers that are not read. */
  unreadBytesMax: count(67_108_864, 1_024, 1_073_741_824),
  /** A connection on which nothing moves for so long is closed, answer or none: longer than any wait, and than the pause of a watch. */
  silentMs: ms(75_000, 100, 600_000),

  /** A key is read again from the database this often: revocation acts within 5 s everywhere. */
  keyCacheMs: ms(2_000, 0, 4_000),
  keyCacheMax: count(10_000, 10, 1_000_000),
  /** Open watches and waits ask again whether their key still holds. */
  keyRecheckMs: ms(2_000, 10, 4_000),
  keyTouchEveryMs: ms(60_000, 1_000, 3_600_000),
  /** Keys of one workspace that hold: neither revoked nor expired. */
  keysPerWorkspaceMax: count(1_000, 1, 100_000),

  /** Procedures a second of a key that names no rate of its own. */
  ratePerSecondDefault: count(200, 1, 100_000),
  /** Of all keys of a workspace together, unless one of them has a greater rate. */
  ratePerTenant: count(1_000, 1, 100_000),
  /** A bucket holds this many seconds of its rate, and never less than one full batch. */
  burstSeconds: count(10, 1, 60),

  listLimitDefault: count(100, 1, 500),
  listLimitMax: count(500, 1, 500),
  manifestsMax: count(200, 1, 200),

  waitTimeoutMsDefault: ms(30_000, 1, 60_000),
  waitTimeoutMsMax: ms(60_000, 1, 60_000),
  waitRefsMax: count(100, 1, 100),
  /** What a wait or watch looks at without a signal: a lost one costs only this (law 2). */
  feedPollMs: ms(1_000, 10, 10_000),
  /** At most one look per this in one wait or watch, however many signals come. */
  feedGapMs: ms(20, 0, 1_000),
  bookmarkEveryMs: ms(10_000, 10, 60_000),
  changesPageMax: count(500, 1, 500),
  /** Open watches of one key, of one workspace (whatever the number of its keys), and of the process. */
  watchesPerKeyMax: count(100, 1, 10_000),
  watchesPerTenantMax: count(500, 1, 100_000),
  watchesMax: count(2_000, 1, 100_000),
  /** Rows that the watches of one workspace, and all together, hold while their readers take them; what is more is read again. */
  watchBytesPerTenant: count(16_777_216, 1_024, 1_073_741_824),
  watchBytesMax: count(134_217_728, 1_024, 4_294_967_296),
  /** Open waits, likewise: each may look at 100 rows again and again. */
  waitsPerTenantMax: count(200, 1, 100_000),
  waitsMax: count(2_000, 1, 100_000),

  /** Reads of waits and watches under way at once: the rest of the pool is for other calls. */
  laneReadsMax: count(4, 1, 100),
  /** Changes of keys, decisions and the like, and entries of denied attempts, written at once: one of a workspace. */
  recordsAtOnceMax: count(2, 1, 100),

  readerTimeoutMs: ms(30_000, 100, 120_000),
  /** Deadline of `/readyz`'s question to the database. */
  readyzMs: ms(2_000, 100, 30_000),
  /** From SIGTERM to exit. */
  stopMs: ms(12_000, 100, 60_000),
});

export type ApiOptions = z.output<typeof optionsSchema>;

/** All defaults, or a few members changed; throws a ZodError on what makes no sense. */
export function createApiOptions(input: z.input<typeof optionsSchema> = {}): ApiOptions {
  return optionsSchema.parse(input);
}
