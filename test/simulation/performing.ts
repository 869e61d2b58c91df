import { faultError, lateMsMax, veryLateMs } from './effects.ts';
import type { Cut, Effect, Fault, Send } from './effects.ts';
import type { Life } from './life.ts';
import type { SeededRng } from './random.ts';
import type { Timeline } from './timeline.ts';

/** What an oracle throws: the run is over. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** Who waits for an answer. */
export interface Caller<T> {
  readonly hear: (answer: T) => void;
  readonly fail: (error: unknown) => void;
}

/** One effect about to be performed. */
export interface Performance<T> {
  readonly effect: Effect;
  readonly life: Life;
  readonly send: Send<T>;
  readonly caller: Caller<T>;
}

/** What a performance may do to the world around it. */
export interface Stage {
  readonly timeline: Timeline;
  readonly rng: SeededRng;
  /** Longest that a stale read looks back. */
  readonly staleMsMax: () => number;
  /** Carries the effect out and tells the oracles. */
  readonly execute: <T>(effect: Effect, send: Send<T>, asOfMs?: number) => T | Promise<T>;
  readonly crash: (life: Life, cut: Cut) => void;
  /** Crashes at the worker's next store call. */
  readonly crashAtNextWrite: (life: Life) => void;
}

/** Performs an effect as its crash has it. */
export function performCut<T>(stage: Stage, { effect, life, send, caller }: Performance<T>, cut: Cut): void {
  switch (cut) {
    case 'executed-reply-lost':
    case 'commit-ack-lost':
      quietly(() => stage.execute(effect, send));
      return stage.crash(life, cut);
    case 'late':
      stage.timeline.after(lateMsMax, () => quietly(() => stage.execute(effect, send)));
      return stage.crash(life, cut);
    case 'very-late':
      stage.timeline.after(veryLateMs, () => quietly(() => stage.execute(effect, send)));
      return stage.crash(life, cut);
    case 'reply-not-persisted':
      stage.crashAtNextWrite(life);
      return settle(caller, () => stage.execute(effect, send));
    case 'before-send':
    case 'sent-not-executed':
    case 'commit-not-sent':
      return stage.crash(life, cut);
  }
}

/** Performs an effect as its fault has it. */
export function performFault<T>(stage: Stage, { effect, send, caller }: Performance<T>, fault: Fault): void {
  const { timeline, rng } = stage;
  const execute = (asOfMs = 0): T | Promise<T> => stage.execute(effect, send, asOfMs);
  switch (fault) {
    case 'lose-request':
      return;
    case 'lose-reply':
      return quietly(execute);
    case 'late':
      timeline.after(1 + rng.int(lateMsMax), () => quietly(execute));
      return;
    case 'twice':
      settle(caller, execute);
      return quietly(execute);
    case 'error-after':
      quietly(execute);
      return refuse(stage, { send, caller }, fault);
    case 'garbled':
    case 'commit-unknown':
      if (rng.chance(0.5)) quietly(execute);
      return refuse(stage, { send, caller }, fault);
    case 'refuse':
    case 'forbid':
    case 'throttle':
    case 'unavailable':
      return refuse(stage, { send, caller }, fault);
    case 'slow':
      return slowly(timeline, 1 + rng.int(8_000), { caller, run: execute });
    case 'slow-commit':
      return slowly(timeline, 1 + rng.int(3_000), { caller, run: execute });
    case 'stale':
      return settle(caller, () => execute(rng.int(stage.staleMsMax())));
    case 'false-empty':
      return settle(caller, () => (send.empty === undefined ? execute() : send.empty()));
  }
}

/** Answers with an error: the provider's own, or as its client would throw it. */
function refuse<T>({ rng }: Stage, { send, caller }: Pick<Performance<T>, 'send' | 'caller'>, fault: Fault): void {
  const answer = send.answer?.(fault);
  if (answer === undefined) caller.fail(faultError(fault, send, rng));
  else caller.hear(answer);
}

function slowly<T>(timeline: Timeline, ms: number, one: { caller: Caller<T>; run: () => T | Promise<T> }): void {
  const late: Caller<T> = {
    hear: (answer) => void timeline.after(ms, () => one.caller.hear(answer)),
    fail: (error) => void timeline.after(ms, () => one.caller.fail(error)),
  };
  settle(late, one.run);
}

/** Runs and tells the caller what came of it. An oracle's violation is not an answer: it ends the run. */
export function settle<T>(caller: Caller<T>, run: () => T | Promise<T>): void {
  let result: T | Promise<T>;
  try {
    result = run();
  } catch (error) {
    if (error instanceof Violation) throw error;
    caller.fail(error);
    return;
  }
  if (result instanceof Promise) result.then(caller.hear, caller.fail);
  else caller.hear(result);
}

/** Runs, and nobody hears. */
function quietly(run: () => unknown): void {
  settle({ hear: () => undefined, fail: () => undefined }, run);
}
