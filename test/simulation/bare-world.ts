import type { Clock } from '#controller/clock.ts';
import type { EngineStore } from '#controller/store/engine-store.ts';
import type { ProviderStore } from '#controller/store/provider-store.ts';
import type { ReplayStore } from '#controller/store/replay-store.ts';
import type { Signals } from '#controller/store/resource-store.ts';
import { hash32 } from '#hack/cloud/clock.ts';
import type { Cut, Effect, FaultPlan, Send } from './effects.ts';
import { forbidRealTime, realImmediate } from './guard.ts';
import { createLife } from './life.ts';
import type { Life } from './life.ts';
import { createMemoryDatabase } from '#test/simulation/memory-store/database.ts';
import type { MemoryDatabase } from '#test/simulation/memory-store/database.ts';
import { createMemoryStores } from '#test/simulation/memory-store/stores.ts';
import type { MemoryStores } from '#test/simulation/memory-store/stores.ts';
import { performCut, performFault, settle } from './performing.ts';
import type { Caller, Performance, Stage, Violation } from './performing.ts';
import { seeded } from './random.ts';
import type { SeededRng } from './random.ts';
import { wrapStore } from './store-doors.ts';
import { createTimeline } from './timeline.ts';
import type { Timeline } from './timeline.ts';
import { createWorkerClock } from './worker-clock.ts';

/**
 * The simulated world (reliability.md, T1): workers that run the real engine, one database, one cloud, virtual time, one seed.
 *
 * W1  A step lets every promise settle that can, then does ONE thing: a due timer, a parked effect, or a jump to the next timer.
 * W2  Every store and provider call of a worker is an effect: parked when made, performed when drawn, heard through the worker's life.
 * W3  After `crash` nothing of the worker settles again, rejections included; what it held in memory is gone.
 * W4  The same seed and the same calls on the world give the same effects in the same order (`traceHash`).
 */
export interface BareWorld {
  readonly seed: number;
  readonly timeline: Timeline;
  readonly db: MemoryDatabase;
  /** Straight to the database, for the agent and the oracles: no effect, no fault. */
  readonly stores: MemoryStores;
  readonly rng: SeededRng;
  readonly workers: readonly Worker[];
  /** Database time, ms. */
  now(): number;
  startWorker(name: string, options?: { skewMs?: number }): Worker;
  crash(worker: Worker): void;
  /** A provider call of a worker; clients are built on this. */
  call<T>(worker: Worker, send: Send<T>): Promise<T>;
  /** Every store and provider effect so far, in order. */
  effects(): readonly Effect[];
  /** Crashes the worker of effect `n` there, and starts another after `restartAfterMs`. */
  cutAt(n: number, cut: Cut, restartAfterMs?: number): void;
  /** Whether the cut has happened. */
  wasCut(): boolean;
  /** `staleMsMax`: how far back stale reads look; 8 s, which is within every kind's visibility. */
  setFaults(plan: FaultPlan | null, staleMsMax?: number): void;
  setSignals(plan: SignalPlan): void;
  /** Called right before each effect is carried out. */
  onExecute(oracle: (effect: Effect) => void): void;
  /** Called after each effect that was carried out; throws to fail the run. */
  observe(oracle: (effect: Effect) => void): void;
  /** Called when a worker makes an effect, before anything becomes of it. */
  onIssue(oracle: (effect: Effect) => void): void;
  /** Does one thing. False: nothing is left to happen. */
  step(): Promise<boolean>;
  /** Runs for so much virtual time. */
  run(forMs: number): Promise<void>;
  /** Runs until it holds, at most so long; answers whether it does. */
  until(holds: () => boolean, withinMs: number): Promise<boolean>;
  /** Counts that something rare happened. */
  sometimes(name: string): void;
  counts(): ReadonlyMap<string, number>;
  logged(): readonly string[];
  traceHash(): string;
  /** Ends all workers and gives the machine's clock back. */
  close(): void;
}

export interface Worker {
  readonly name: string;
  readonly life: Life;
  /** Set by `boot`. */
  readonly process: { start(): Promise<void>; stop(): Promise<void> };
}

/** What a worker's process is given: doors, and a clock and randomness of its own. */
export interface Ports {
  readonly worker: string;
  readonly store: EngineStore;
  readonly providers: ProviderStore;
  readonly replays: ReplayStore;
  readonly signals: Signals;
  readonly clock: Clock;
  readonly rng: SeededRng;
  readonly log: (line: string) => void;
  readonly call: <T>(send: Send<T>) => Promise<T>;
}

/** Builds a worker's process. The real engine in the suites; a toy in the world's own tests. */
export type Boot = (ports: Ports) => Worker['process'];

/** What becomes of a hint to one worker: delays in ms, one for each time it is delivered; none: dropped. */
export type SignalPlan = (rng: SeededRng) => readonly number[];

export interface BareWorldOptions {
  readonly seed: number;
  readonly boot: Boot;
  /** `fifo`: effects in the order of their making; `seeded`: any parked one may be next. */
  readonly order?: 'fifo' | 'seeded';
  readonly clock?: Timeline;
  readonly rng?: SeededRng;
  readonly store?: { readonly db: MemoryDatabase; readonly stores: MemoryStores };
  /** ms that one effect takes. */
  readonly latencyMs?: number;
  /** Instant of elapsed 0. */
  readonly epochMs?: number;
}

interface Parked {
  readonly effect: Effect;
  readonly life: Life;
  readonly perform: () => void;
}

const epochDefault = Date.UTC(2026, 10, 20, 8);
/** A signal is heard this much after the commit. */
const signalMs = 5;
const staleMsDefault = 8_000;

/** Worlds made since the last `forgetWorlds`, so that a runner can report on those of a case that failed. */
let made: BareWorld[] = [];

export function worldsMade(): readonly BareWorld[] {
  return made;
}

export function forgetWorlds(): void {
  made = [];
}

/** A world at its beginning: an empty database, no worker. */
export function createBareWorld(options: BareWorldOptions): BareWorld {
  const { seed } = options;
  const releaseGuard = forbidRealTime();
  const timeline = options.clock ?? createTimeline();
  const rng = options.rng ?? seeded(seed, 'world');
  const epoch = options.epochMs ?? epochDefault;
  const now = (): number => epoch + timeline.elapsed();
  const hearers = new Set<(shard: number) => void>();
  const db =
    options.store?.db ?? createMemoryDatabase({ now, committed: (shard) => hearers.forEach((hear) => hear(shard)) });
  const stores = options.store?.stores ?? createMemoryStores(db);
  const latencyMs = options.latencyMs ?? 2;

  const effects: Effect[] = [];
  const parked: Parked[] = [];
  const workers: Worker[] = [];
  const begun: ((effect: Effect) => void)[] = [];
  const oracles: ((effect: Effect) => void)[] = [];
  const issued: ((effect: Effect) => void)[] = [];
  let violation: Violation | null = null;
  const counts = new Map<string, number>();
  const logs: string[] = [];
  let faults: FaultPlan | null = null;
  let staleMsMax = staleMsDefault;
  let signals: SignalPlan = () => [signalMs];
  let cut: { readonly n: number; readonly cut: Cut; readonly restartAfterMs: number } | null = null;
  let crashNext: { readonly life: Life } | null = null;
  let wasCut = false;
  let hash = seed >>> 0;

  const sometimes = (name: string): void => void counts.set(name, (counts.get(name) ?? 0) + 1);

  const crash = (life: Life): void => {
    life.end();
    for (let index = parked.length - 1; index >= 0; index -= 1) {
      const one = parked[index];
      if (one?.life !== life) continue;
      one.effect.state = 'lost';
      parked.splice(index, 1);
    }
    const index = workers.findIndex((worker) => worker.life === life);
    if (index >= 0) workers.splice(index, 1);
  };
  const crashByCut = (life: Life, name: Cut): void => {
    sometimes(`cut:${name}`);
    wasCut = true;
    crash(life);
    const after = cut?.restartAfterMs ?? 0;
    cut = null;
    crashNext = null;
    timeline.after(after, () => void world.startWorker(`${life.name}'`));
  };

  const trace = (effect: Effect, what: string): void => {
    hash = hash32(
      `${String(hash)} ${effect.worker} ${effect.op} ${effect.subject} ${String(timeline.elapsed())} ${what}`,
    );
  };

  /** Carries an effect out and tells the oracles. Answers what its caller would hear. */
  const execute = <T>(effect: Effect, send: Send<T>, asOfMs = 0): T | Promise<T> => {
    effect.state = 'executed';
    trace(effect, 'executed');
    for (const oracle of begun) oracle(effect);
    const result = send.execute(asOfMs);
    const isRefused = !(result instanceof Promise) && send.isRefusal?.(result) === true;
    if (!isRefused) effect.done += 1;
    for (const oracle of oracles) oracle(effect);
    return result;
  };

  const issue = <T>(life: Life, door: Effect['door'], send: Send<T>): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      if (life.state() === 'dead') return;
      if (crashNext?.life === life && door === 'store') return crashByCut(life, 'reply-not-persisted');
      const effect: Effect = {
        n: effects.length + 1,
        worker: life.name,
        door,
        op: send.op,
        mutating: send.mutating,
        subject: send.subject,
        at: timeline.elapsed(),
        state: 'parked',
        done: 0,
      };
      effects.push(effect);
      try {
        for (const oracle of issued) oracle(effect);
      } catch (error) {
        // Thrown here it would reach the worker's own catch; the next step throws it to the suite.
        violation ??= error as Violation;
      }
      if (cut?.n === effect.n && cut.cut === 'before-send') return crashByCut(life, 'before-send');
      const caller: Caller<T> = {
        hear: (answer) => life.deliver(() => resolve(answer)),
        fail: (error) => {
          effect.state = 'failed';
          life.deliver(() => reject(error));
        },
      };
      send.signal?.addEventListener('abort', () => caller.fail(new DOMException('aborted', 'AbortError')), {
        once: true,
      });
      parked.push({ effect, life, perform: () => perform({ effect, life, send, caller }) });
    });

  const stage: Stage = {
    timeline,
    rng,
    staleMsMax: () => staleMsMax,
    execute,
    crash: crashByCut,
    crashAtNextWrite(life) {
      crashNext = { life };
      cut = cut === null ? null : { ...cut, n: -1 };
    },
  };

  const perform = <T>(one: Performance<T>): void => {
    const { effect, life, send, caller } = one;
    if (cut?.n === effect.n) return performCut(stage, one, cut.cut);
    const fault = faults?.(effect) ?? null;
    if (fault === null) {
      settle(caller, () => execute(effect, send));
    } else {
      sometimes(`fault:${fault}`);
      trace(effect, fault);
      performFault(stage, one, fault);
    }
    if (life.state() === 'dead') effect.state = 'lost';
  };

  /** One due timer, one parked effect, or a jump to the next timer (W1). */
  const doOne = (): boolean => {
    if (violation !== null) throw violation;
    const due = timeline.nextAt();
    if (due !== null && due <= timeline.elapsed()) return timeline.runNext();
    const one = draw(parked, options.order === 'seeded' ? rng : null);
    if (one === undefined) return timeline.runNext();
    timeline.advance(latencyMs);
    one.perform();
    return true;
  };

  const signalsOf = (life: Life): Signals => {
    const listeners = new Set<(shards: readonly number[] | null) => void>();
    const hint = (shard: number): void => {
      if (life.state() === 'dead') return void hearers.delete(hint);
      for (const ms of signals(rng)) {
        timeline.after(ms, () => life.deliver(() => listeners.forEach((listener) => listener([shard]))));
      }
    };
    hearers.add(hint);
    return {
      signal: (shards) => shards.forEach((shard) => hearers.forEach((hear) => hear(shard))),
      onSignal(listener) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    };
  };

  const world: BareWorld = {
    seed,
    timeline,
    db,
    stores,
    rng,
    workers,
    now,
    startWorker(name, { skewMs = 0 } = {}) {
      const life = createLife(name);
      const door = <T>(send: Send<T>): Promise<T> => issue(life, 'store', send);
      const process = options.boot({
        worker: name,
        store: wrapStore(stores.engine, 'engine', door),
        providers: wrapStore(stores.providers, 'providers', door),
        replays: wrapStore(stores.replays, 'replays', door),
        signals: signalsOf(life),
        clock: createWorkerClock(timeline, life, () => now() + skewMs),
        rng: seeded(seed, name),
        log: (line) => logs.push(line),
        call: (send) => issue(life, 'provider', send),
      });
      const worker: Worker = { name, life, process };
      workers.push(worker);
      void process.start();
      return worker;
    },
    crash: (worker) => crash(worker.life),
    call: (worker, send) => issue(worker.life, 'provider', send),
    effects: () => effects,
    cutAt: (n, name, restartAfterMs = 0) => {
      cut = { n, cut: name, restartAfterMs };
    },
    wasCut: () => wasCut,
    setFaults: (plan, lookBackMs = staleMsDefault) => {
      faults = plan;
      staleMsMax = lookBackMs;
    },
    setSignals: (plan) => {
      signals = plan;
    },
    onExecute: (oracle) => void begun.push(oracle),
    observe: (oracle) => void oracles.push(oracle),
    onIssue: (oracle) => void issued.push(oracle),
    async step() {
      await drained();
      return doOne();
    },
    async run(forMs) {
      await world.until(() => false, forMs);
    },
    async until(holds, withinMs) {
      const end = timeline.elapsed() + withinMs;
      while (!holds()) {
        await drained();
        const next = timeline.nextAt();
        if (timeline.elapsed() >= end) return false;
        if (!parked.some(isSent) && (next === null || next > end)) {
          timeline.advance(end - timeline.elapsed());
          return holds();
        }
        doOne();
      }
      return true;
    },
    sometimes,
    counts: () => counts,
    logged: () => logs,
    traceHash: () => hash.toString(16).padStart(8, '0'),
    close() {
      for (const worker of workers.slice()) crash(worker.life);
      releaseGuard();
    },
  };
  made.push(world);
  return world;
}

/** A stopped process may have calls to the store that it issued and did not send. */
function isSent({ effect, life }: Parked): boolean {
  return effect.door === 'provider' || !life.holdsBack();
}

/** Takes the effect to perform next: the oldest, or any by seed; none that its worker has not sent yet. */
function draw(parked: Parked[], rng: SeededRng | null): Parked | undefined {
  const sent = parked.filter(isSent);
  const one = rng === null || sent.length < 2 ? sent[0] : sent[rng.int(sent.length)];
  if (one !== undefined) parked.splice(parked.indexOf(one), 1);
  return one;
}

/** Resolves once every promise that can settle has settled. */
function drained(): Promise<void> {
  return new Promise((resolve) => realImmediate(resolve));
}
