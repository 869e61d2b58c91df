/**
 * The life of a simulated process. A crash is not an exception: it runs no `catch` and no `finally`. Everything that would reach a
 * worker from outside (answers, rejections, timers, signals) goes through its life, and a dead one hears nothing any more.
 */
export interface Life {
  readonly name: string;
  state(): 'running' | 'paused' | 'dead';
  /** Lets the worker hear something: now; once it is resumed; or never. */
  deliver(run: () => void): void;
  /** SIGSTOP: nothing reaches the worker until `resume`. `unsent`: what it had issued to the store had not left it yet. */
  pause(unsent?: boolean): void;
  /** Whether what it has issued to the store is still on its way out. */
  holdsBack(): boolean;
  resume(): void;
  /** SIGKILL. */
  end(): void;
}

/** A running life. */
export function createLife(name: string): Life {
  let state: 'running' | 'paused' | 'dead' = 'running';
  let waiting: (() => void)[] = [];
  let holdsBack = false;
  return {
    name,
    state: () => state,
    deliver(run) {
      if (state === 'running') run();
      else if (state === 'paused') waiting.push(run);
    },
    pause(unsent = false) {
      if (state !== 'running') return;
      state = 'paused';
      holdsBack = unsent;
    },
    holdsBack: () => holdsBack,
    resume() {
      if (state !== 'paused') return;
      state = 'running';
      holdsBack = false;
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
