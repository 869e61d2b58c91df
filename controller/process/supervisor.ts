import type { Clock } from '#controller/clock.ts';
import type { Logger } from '#controller/log.ts';
import type { Metrics } from '#controller/metrics.ts';

/** Something that runs beside others in a process. */
export interface Service {
  readonly name: string;
  /** Resolves when it runs. */
  start(): Promise<void>;
  /** Resolves when it has stopped; asked at most once, also if `start` failed half-way. */
  stop(): Promise<void>;
}

export interface SupervisorInput {
  readonly services: readonly Service[];
  readonly clock: Clock;
  readonly log: Logger;
  /** Time for all to stop, and for each, in ms. */
  readonly stopMs: number;
  readonly serviceStopMs: number;
}

export interface Supervisor {
  /** Starts in order. If one fails, stops those already started, in reverse, and rejects with its error. */
  start(): Promise<void>;
  /** Stops in reverse, each within its bound and all within theirs. Answers the names that did not stop in time or failed. Repeating it is harmless. */
  stop(): Promise<readonly string[]>;
}

export function createSupervisor({ services, clock, log, stopMs, serviceStopMs }: SupervisorInput): Supervisor {
  const begun: Service[] = [];
  let stopping: Promise<readonly string[]> | null = null;

  const stopOne = async (service: Service, withinMs: number): Promise<boolean> => {
    const over = new AbortController();
    const stopped = service.stop().then(
      () => true,
      (error: unknown) => {
        log.error({ error, service: service.name }, 'Service failed to stop');
        return false;
      },
    );
    const timeout = clock.sleep(withinMs, over.signal).then(() => false);
    const inTime = await Promise.race([stopped, timeout]);
    over.abort();
    return inTime;
  };

  const stopAll = async (): Promise<readonly string[]> => {
    const end = clock.monotonic() + stopMs;
    const left: string[] = [];
    for (const service of begun.splice(0).toReversed()) {
      const withinMs = Math.max(0, Math.min(serviceStopMs, end - clock.monotonic()));
      if (!(await stopOne(service, withinMs))) left.push(service.name);
    }
    if (left.length > 0) log.warn({ services: left }, 'Services did not stop in time');
    return left;
  };

  const stop = (): Promise<readonly string[]> => (stopping ??= stopAll());

  return {
    async start() {
      for (const service of services) {
        begun.push(service);
        try {
          await service.start();
        } catch (error) {
          log.error({ error, service: service.name }, 'Service failed to start');
          await stop();
          throw error;
        }
      }
    },
    stop,
  };
}

export interface LoopInput {
  readonly name: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Wait after a failed step in ms, doubling to 30 times it. */
  readonly retryMs: number;
  /** One step; answers the wait before the next in ms, or null to end the loop. Should end soon once the signal is aborted. */
  readonly step: (signal: AbortSignal) => Promise<number | null>;
}

export interface Loop extends Service {
  /** Ends the present wait, or the one after the step under way. */
  kick(): void;
}

/** Longest wait after failures, in first waits. */
const retryMaxTimes = 30;

/** A step that is repeated until it says so or is stopped. A failed step is logged, counted and tried again; it never ends the loop. */
export function createLoop({ name, clock, log, metrics, retryMs, step }: LoopInput): Loop {
  const stopping = new AbortController();
  let waiting: AbortController | null = null;
  let kicked = false;
  let failures = 0;
  let running: Promise<void> = Promise.resolve();

  const attempt = async (): Promise<number | null> => {
    try {
      const waitMs = await step(stopping.signal);
      failures = 0;
      return waitMs;
    } catch (error) {
      failures += 1;
      metrics.taskFailures.inc({ task: name });
      log.warn({ error, task: name, failures }, 'Background task failed');
      return retryMs * Math.min(2 ** (failures - 1), retryMaxTimes);
    }
  };

  const wait = async (ms: number): Promise<void> => {
    waiting = new AbortController();
    if (kicked || stopping.signal.aborted) waiting.abort();
    await clock.sleep(ms, waiting.signal);
    waiting = null;
    kicked = false;
  };

  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const waitMs = await attempt();
      if (waitMs === null) return;
      await wait(waitMs);
    }
  };

  return {
    name,
    async start() {
      running = run();
    },
    stop() {
      stopping.abort();
      waiting?.abort();
      return running;
    },
    kick() {
      kicked = true;
      waiting?.abort();
    },
  };
}
