import type { Clock } from '#controller/clock.ts';
import { DeadlineExceeded } from './errors.ts';
import type { LateAnswer } from './types.ts';

export interface DeadlineInput<R> {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly mutating: boolean;
  readonly send: (signal: AbortSignal) => Promise<R>;
  readonly onLate: (answer: LateAnswer<R>) => void;
}

/**
 * Sends with a deadline of our own: SDKs ignore theirs or hang for ever (Storage and DNS take no timeout at all). The signal is aborted
 * at the deadline for those that listen; the others are abandoned, and what they still answer goes to `onLate`.
 */
export function sendWithin<R>({ clock, timeoutMs, mutating, send, onLate }: DeadlineInput<R>): Promise<R> {
  return new Promise<R>((resolve, reject) => {
    const abort = new AbortController();
    let late = false;
    const cancel = clock.after(timeoutMs, () => {
      late = true;
      reject(new DeadlineExceeded(mutating));
      abort.abort();
    });
    const settle = (answer: LateAnswer<R>): void => {
      if (late) return onLate(answer);
      cancel();
      if (answer.ok) resolve(answer.reply);
      else reject(answer.error);
    };
    begin(send, abort.signal).then(
      (reply) => settle({ ok: true, reply }),
      (error: unknown) => settle({ ok: false, error }),
    );
  });
}

/** Calls `send` at once; what it throws before its first await becomes a rejection. */
async function begin<R>(send: (signal: AbortSignal) => Promise<R>, signal: AbortSignal): Promise<R> {
  return send(signal);
}
