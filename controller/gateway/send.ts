import { ProviderError } from '#controller/contract.ts';
import type { Clock } from '#controller/clock.ts';
import type { Logger } from '#controller/log.ts';
import type { Metrics } from '#controller/metrics.ts';
import type { GatewayOptions } from '#controller/options.ts';
import { holdMs } from './breaker.ts';
import type { Breaker } from './breaker.ts';
import { sendWithin } from './deadline.ts';
import { Throttled } from './errors.ts';
import type { GatewayCall, LateAnswer } from './types.ts';

export interface SenderInput {
  readonly breaker: Breaker;
  readonly clock: Clock;
  readonly options: GatewayOptions;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** The call itself, once every gate is passed: sent once, within a deadline, measured and reported. */
export type Sender = <R>(request: GatewayCall<R>) => Promise<R>;

export function createSender({ breaker, clock, options, log, metrics }: SenderInput): Sender {
  const onLate = <R>(request: GatewayCall<R>, answer: LateAnswer<R>): void => {
    const { provider, op } = request.options;
    metrics.lateAnswers.inc({ provider, op });
    log.warn({ ...fieldsOf(request), ok: answer.ok }, 'Provider answered after the deadline');
    request.onLateAnswer?.(answer);
  };

  const measure = <R>(request: GatewayCall<R>, startedAt: number, failure: { error: unknown } | null): void => {
    const { provider, op } = request.options;
    const durationMs = Math.round(clock.monotonic() - startedAt);
    const outcome = failure === null ? 'ok' : outcomeOf(failure.error);
    metrics.calls.inc({ provider, op, outcome });
    metrics.callSeconds.observe({ provider, op }, durationMs / 1_000);
    const fields = { ...fieldsOf(request), outcome, durationMs };
    if (failure === null) log.debug(fields, 'Provider call ended');
    else log.info({ ...fields, ...failure }, 'Provider call ended');
  };

  return async (request) => {
    const { provider, account, mutating, timeoutMs } = request.options;
    const startedAt = clock.monotonic();
    try {
      const reply = await sendWithin({
        clock,
        timeoutMs: Math.min(timeoutMs ?? request.maxCallMs, request.maxCallMs),
        mutating,
        send: request.send,
        onLate: (answer) => onLate(request, answer),
      });
      measure(request, startedAt, null);
      // Not awaited: what `keep` takes of the reply must be written before anything else.
      void breaker.ended({ provider, account }, { failure: null, startedAt });
      return reply;
    } catch (error) {
      measure(request, startedAt, { error });
      // Awaited: the pass that settles this failure must see the breaker that it opened.
      await breaker.ended({ provider, account }, { failure: { error }, startedAt });
      throw isRefusedByRate(error) ? new Throttled(holdMs(error, options)) : error;
    }
  };
}

/** What logs tell of a call: never its arguments. */
export function fieldsOf<R>({ options, workspace, kind, uid }: GatewayCall<R>) {
  const { provider, account, op, mutating } = options;
  return { provider, account, op, mutating, workspace, kind, uid };
}

/** Label of a failed call: the verdict of the provider's table, else the error's name. */
function outcomeOf(error: unknown): string {
  if (error instanceof ProviderError) return error.detail.verdict;
  return error instanceof Error ? error.name : 'error';
}

/** A 429 that certainly did nothing is the same to the engine as a missing token. */
function isRefusedByRate(error: unknown): boolean {
  return error instanceof ProviderError && error.detail.verdict === 'throttled' && error.detail.outcome === 'not-done';
}
