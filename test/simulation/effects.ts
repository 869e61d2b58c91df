import { ProviderError } from '#controller/contract.ts';
import { CommitUnknown, StoreUnavailable } from '#controller/store/sql-errors.ts';
import type { SeededRng } from './random.ts';

/** One store or provider call of a worker, in the order in which they were made. */
export interface Effect {
  /** 1, 2, 3 … */
  readonly n: number;
  readonly worker: string;
  readonly door: 'store' | 'provider';
  /** "engine.settle", "tiny.tokens.create". */
  readonly op: string;
  readonly mutating: boolean;
  /** uids or names it is about, for oracles and the trace. */
  readonly subject: string;
  /** Elapsed ms when it was issued. */
  readonly at: number;
  state: EffectState;
  /** How often it took effect. */
  done: number;
}

/** `parked`: issued, not performed. `lost`: performed or not, but nobody will hear. */
export type EffectState = 'parked' | 'executed' | 'failed' | 'lost';

/**
 * Where a crash cuts an effect (reliability.md, crash-everywhere). Provider calls know all but the two commits, store calls the two
 * commits and before-send.
 */
export const providerCuts = [
  'before-send',
  'sent-not-executed',
  'executed-reply-lost',
  'reply-not-persisted',
  'late',
  'very-late',
] as const;
export const storeCuts = ['before-send', 'commit-not-sent', 'commit-ack-lost'] as const;
export type Cut = (typeof providerCuts)[number] | (typeof storeCuts)[number];

/** What may befall an effect without a crash. */
export const providerFaults = [
  'lose-request',
  'lose-reply',
  'late',
  'twice',
  'error-after',
  'garbled',
  'refuse',
  'throttle',
  'slow',
] as const;
export const readFaults = ['lose-request', 'lose-reply', 'refuse', 'throttle', 'slow', 'stale', 'false-empty'] as const;
export const storeFaults = ['unavailable', 'commit-unknown', 'slow-commit'] as const;
export type Fault =
  | (typeof providerFaults)[number]
  | (typeof readFaults)[number]
  | (typeof storeFaults)[number]
  | 'forbid';

/** Decides what befalls an effect; null: nothing. */
export type FaultPlan = (effect: Effect) => Fault | null;

/** A call as a door is given it. */
export interface Send<T> {
  readonly op: string;
  readonly mutating: boolean;
  readonly subject: string;
  readonly signal?: AbortSignal;
  /** Carries it out. `asOfMs`: how far back a stale read looks; 0 is now. */
  readonly execute: (asOfMs: number) => T | Promise<T>;
  /** Whether an answer says that nothing was done. */
  readonly isRefusal?: (answer: T) => boolean;
  /** What a false-empty answer is; absent: the call has none. */
  readonly empty?: () => T;
  /** The provider's own form of an error answer; absent or undefined: a ProviderError as a client would throw it. */
  readonly answer?: (fault: Fault) => T | undefined;
}

/** Longest that a late effect lands after its call: within a call's deadline and the kinds' visibility. */
export const lateMsMax = 20_000;
/** After a crash: longer than the lease that the call was given, within the wait that follows a takeover (maxCallMs and 2 s, twice). */
export const veryLateMs = 55_000;
/** The error that a fault answers with. */
export function faultError(fault: Fault, send: { op: string }, rng: SeededRng): Error {
  switch (fault) {
    case 'refuse':
      return provider('unavailable', 'ProviderUnavailable', { outcome: 'not-done', code: '503' });
    case 'forbid':
      return provider('credential', 'PermissionDenied', { outcome: 'not-done', code: '403' });
    case 'throttle':
      return provider('throttled', 'RateLimited', {
        outcome: 'not-done',
        code: '429',
        retryAfterMs: 500 + rng.int(2_000),
      });
    case 'error-after':
      return provider('retryable', 'ProviderErrorUnclassified', { outcome: 'unknown', code: '500' });
    case 'garbled':
      return provider('retryable', 'ProviderErrorUnclassified', { outcome: 'unknown', code: '200' });
    case 'unavailable':
      return new StoreUnavailable(send.op, new Error('connection refused'));
    case 'commit-unknown':
      return new CommitUnknown(send.op, new Error('connection closed'));
    default:
      return new Error(`the fault ${fault} has no answer`);
  }
}

function provider(
  verdict: 'unavailable' | 'throttled' | 'retryable' | 'credential',
  reason: string,
  rest: { outcome: 'not-done' | 'unknown'; code: string; retryAfterMs?: number },
): ProviderError {
  const { code, outcome, ...more } = rest;
  return new ProviderError(`simulated ${code}`, { verdict, reason, outcome, providerCode: code, ...more });
}
