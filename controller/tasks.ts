import { shardCount } from '#resources/shard.ts';
import { topic } from '#resources/topic.ts';
import type { Topic } from '#resources/topic.ts';
import type { Clock } from './clock.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { TaskOptions } from './options.ts';
import type { EngineStore } from './store/engine-store.ts';
import type { ProviderStore } from './store/provider-store.ts';
import { createLoop } from './process/supervisor.ts';
import type { Service } from './process/supervisor.ts';

/**
 * What the engine does beside passes: fires topics that span shards, wakes the rest of large topics, and announces at start what is
 * new about this process (its build, its credentials).
 *
 * T1  A topic is fired one shard after the other, and a failed shard is tried again: no shard is left out.
 * T2  Nothing here is needed for correctness: a firing that dies with its process costs the waiting rows at most the fallback interval.
 */
export interface TaskInput {
  readonly engine: Pick<EngineStore, 'fire' | 'drain' | 'drainingShards' | 'registerEngine'>;
  readonly providers: Pick<ProviderStore, 'registerCredential'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly options: TaskOptions;
}

/** A credential that this process uses, by its HMAC. */
export interface CredentialDigest {
  readonly provider: string;
  readonly account: string;
  readonly digest: string;
}

export interface Firing extends Service {
  /** Wakes the listeners of a topic in all shards, at most `ratePerSecond` of them a second. Asked again meanwhile, it begins anew. */
  fire(name: Topic, ratePerSecond: number): void;
}

/** A topic on its way through the shards. */
interface Errand {
  readonly name: Topic;
  readonly ratePerSecond: number;
  shard: number;
  /** Rows that the shard before woke: the best guess of how many this one will. */
  wokenBefore: number;
  /** Monotonic ms of its next shard. */
  nextAt: number;
}

/** Fires topics shard by shard. The due times inside a shard are spread by the account's rate as well. */
export function createFiring({ engine, clock, log, metrics, options }: TaskInput): Firing {
  const errands = new Map<Topic, Errand>();

  const rowsMs = (rows: number, { ratePerSecond }: Errand): number =>
    Math.min(Math.ceil((rows * 1_000) / ratePerSecond), options.fireSpreadMaxMs);

  /** The next shard of a topic. */
  const fireOne = async (errand: Errand): Promise<void> => {
    const woken = await engine.fire(errand.shard, [errand.name], rowsMs(errand.wokenBefore, errand));
    metrics.firedRows.inc(woken);
    errand.wokenBefore = woken;
    errand.shard += 1;
    errand.nextAt = clock.monotonic() + Math.max(options.fireShardGapMs, rowsMs(woken, errand));
    // Begun anew while the store worked: then another errand stands under this name.
    if (errand.shard === shardCount && errands.get(errand.name) === errand) errands.delete(errand.name);
  };

  const step = async (): Promise<number> => {
    const [next] = [...errands.values()].toSorted((a, b) => a.nextAt - b.nextAt);
    if (next === undefined) return options.fireIdleMs;
    const waitMs = next.nextAt - clock.monotonic();
    if (waitMs > 0) return waitMs;
    await fireOne(next);
    return 0;
  };

  const loop = createLoop({ name: 'fire-topics', clock, log, metrics, retryMs: options.retryMs, step });
  return {
    ...loop,
    fire(name, ratePerSecond) {
      log.info({ topic: name }, 'Topic is fired in all shards');
      errands.set(name, { name, ratePerSecond, shard: 0, wokenBefore: 0, nextAt: clock.monotonic() });
      loop.kick();
    },
  };
}

/** Wakes, in chunks, the listeners that a firing did not reach because they were too many for one transaction. */
export function createDrain({ engine, clock, log, metrics, options }: TaskInput): Service {
  const step = async (signal: AbortSignal): Promise<number> => {
    let more = false;
    for (const shard of await engine.drainingShards()) {
      if (signal.aborted) break;
      more = (await engine.drain(shard, options.drainBatchMax)) || more;
    }
    return more ? options.drainGapMs : options.drainEveryMs;
  };
  return createLoop({ name: 'drain-topics', clock, log, metrics, retryMs: options.retryMs, step });
}

export interface AnnounceInput extends TaskInput {
  readonly firing: Pick<Firing, 'fire'>;
  readonly buildId: string;
  readonly credentials: readonly CredentialDigest[];
  /** Rows a second that may be woken by a new build. */
  readonly ratePerSecond: number;
}

/**
 * Registers this build and these credentials, and fires `engine` and `credential:…` for what was not known: rows that stalled on a bug
 * or on a refused credential look again. Tried until the store answers, beside everything else.
 */
export function createAnnouncement(input: AnnounceInput): Service {
  const { engine, providers, clock, log, metrics, options, firing, buildId, credentials, ratePerSecond } = input;
  const left: (() => Promise<void>)[] = [
    async () => {
      if (await engine.registerEngine(buildId)) firing.fire(topic.engine, ratePerSecond);
    },
    ...credentials.map((credential) => async () => {
      const { provider, account } = credential;
      if (!(await providers.registerCredential(credential))) return;
      firing.fire(topic.credential(provider, account), ratePerSecond);
    }),
  ];
  const step = async (): Promise<number | null> => {
    const [first] = left;
    if (first === undefined) return null;
    await first();
    left.shift();
    return 0;
  };
  return createLoop({ name: 'announce', clock, log, metrics, retryMs: options.retryMs, step });
}
