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
 * T2  A replica that dies while firing costs the waiting rows its lease of that shard. What is asked for after a commit of something else
 *     (a name that is free, a thaw that was noticed) may be lost with the process: that costs them at most the fallback interval.
 */
export interface TaskInput {
  readonly engine: Pick<
    EngineStore,
    'fire' | 'askFiring' | 'takeFiring' | 'moveFiring' | 'drain' | 'drainingShards' | 'registerEngine'
  >;
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
  /**
   * Wakes the listeners of a topic in all shards, `ratePerSecond` of them a second; what is beyond the first 500 of a shard goes on by
   * itself at the same rate, beside the next shards. Asked again on its way, it goes on, and once round.
   */
  fire(name: Topic, ratePerSecond: number): void;
  /** Something was asked for in the store: looks at once. */
  carryOn(): void;
}

/**
 * Fires topics shard by shard. What is on its way is in the store, so that any replica goes on with it: this one asks, takes one shard of
 * a topic at a time, and moves it on. The due times inside a shard, and the shards, are spread by the account's rate. A shard with more than
 * 500 listeners would hold up all after it: its rest is drained beside them, so the rate is that of each such shard; the account's tokens
 * keep it over all.
 */
export function createFiring({ engine, clock, log, metrics, options }: TaskInput): Firing {
  /** Not yet in the store. */
  const asks = new Map<Topic, number>();

  const ask = async (): Promise<void> => {
    for (const [name, ratePerSecond] of asks) {
      await engine.askFiring(name, ratePerSecond);
      if (asks.get(name) === ratePerSecond) asks.delete(name);
    }
  };

  const step = async (): Promise<number> => {
    await ask();
    const { firing, inMs } = await engine.takeFiring(options.fireLeaseMs);
    if (firing === null) return Math.min(options.fireIdleMs, Math.max(inMs ?? Infinity, options.fireShardGapMs));
    const rowMs = 1_000 / firing.ratePerSecond;
    const woken = await engine.fire(firing.shard, [firing.topic], rowMs);
    metrics.firedRows.inc(woken);
    await engine.moveFiring(firing, Math.max(options.fireShardGapMs, Math.ceil(woken * rowMs)));
    return 0;
  };

  const loop = createLoop({ name: 'fire-topics', clock, log, metrics, retryMs: options.retryMs, step });
  return {
    ...loop,
    fire(name, ratePerSecond) {
      log.info({ topic: name }, 'Topic is fired in all shards');
      asks.set(name, ratePerSecond);
      loop.kick();
    },
    carryOn: () => loop.kick(),
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
  readonly firing: Pick<Firing, 'carryOn' | 'fire'>;
  readonly buildId: string;
  readonly credentials: readonly CredentialDigest[];
  /** Rows a second that may be woken by a new build or credential. */
  readonly ratePerSecond: number;
}

/**
 * Registers this build and these credentials, with which `engine` and `credential:…` are asked to be fired for what was not known: rows
 * that stalled on a bug or on a refused credential look again. Those that wait for a new build do so more than once: while it rolls out, a
 * replica of one before may take them, fail again and leave them to the fallback. Tried until the store answers, beside everything else.
 */
export function createAnnouncement(input: AnnounceInput): Service {
  const { engine, providers, clock, log, metrics, options, firing, buildId, credentials, ratePerSecond } = input;
  const announced = (name: Topic): void => {
    log.info({ topic: name }, 'Topic is fired in all shards');
    firing.carryOn();
  };
  let timesLeft = 0;
  const left: (() => Promise<void>)[] = [
    async () => {
      if (!(await engine.registerEngine(buildId, ratePerSecond))) return;
      announced(topic.engine);
      timesLeft = options.engineAgainTimes;
    },
    ...credentials.map((credential) => async () => {
      const { provider, account } = credential;
      if (!(await providers.registerCredential({ ...credential, wakePerSecond: ratePerSecond }))) return;
      announced(topic.credential(provider, account));
    }),
  ];
  const step = async (): Promise<number | null> => {
    const [first] = left;
    if (first !== undefined) {
      await first();
      left.shift();
      if (left.length > 0) return 0;
    } else {
      timesLeft -= 1;
      firing.fire(topic.engine, ratePerSecond);
    }
    return timesLeft > 0 ? options.engineAgainMs : null;
  };
  return createLoop({ name: 'announce', clock, log, metrics, retryMs: options.retryMs, step });
}
