/**
 * The life of a simulated process. A crash is not an exception: it runs no `catch` and no `finally`. Everything that would reach a
 * worker from outside (answers, rejections, timers, signals) goes through its life, and a dead one hears nothing any more.
 */
export interface Life {
  readonly name: string;
  state(): 'running' | 'paused' | 'dead';
  /** Lets the worker hear something: now; once it is resumed; or never. */
  deliver(run: () => void): void;
  /** SIGSTOP: nothing reaches the worker until `resume`. */
  pause(): void;
  resume(): void;
  /** SIGKILL. */
  end(): void;
}

/** A running life. */
export function createLife(name: string): Life {
  let state: 'running' | 'paused' | 'dead' = 'running';
  let waiting: (() => void)[] = [];
  return {
    name,
    state: () => state,
    deliver(run) {
      if (state === 'running') run();
      else if (state === 'paused') waiting.push(run);
    },
    pause() {
      if (state === 'running') state = 'paused';
    },
    resume() {
      if (state !== 'paused') return;
      state = 'running';
      const heard = waiting;
      waiting = [];
      for (const run of heard) run();
    },
    end() {
      state = 'dead';
      waiting = [];
    },
  };
}
