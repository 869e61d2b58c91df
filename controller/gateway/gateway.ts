import type { CallOptions } from '#controller/contract.ts';

/**
 * The one door to providers (architecture §5, Provider gateway). Around every call: residency, freeze, breaker, rate, concurrency,
 * slots, the caller's own last check (`beforeSend`), a deadline of our own, and the report of how it ended.
 */
export interface Gateway {
  /**
   * Sends one provider call. Resolves with the reply. Rejects with what `send` threw (a ProviderError), or with one of the typed
   * errors below; of those only DeadlineExceeded means that the call may have reached the provider.
   */
  call<R>(request: GatewayCall<R>): Promise<R>;
  /** What is known of a provider account, at most one refresh old. */
  state(provider: string, account: string): GatewayState;
}

export interface GatewayCall<R> {
  readonly options: CallOptions<R>;
  readonly send: (signal: AbortSignal) => Promise<R>;
  readonly workspace: string;
  readonly kind: string;
  readonly uid: string;
  /** The kind's longest call in ms: default and ceiling of `options.timeoutMs`. */
  readonly maxCallMs: number;
  /** The first call of a probe passes an open breaker. */
  readonly probe: boolean;
  /**
   * Lease extension or markSending. Runs after tokens and slots are held, directly before the send; if the send does not begin
   * within 2 s of its start it is asked again. What it throws forbids the send and reaches the caller as it is.
   */
  readonly beforeSend?: () => Promise<void>;
  /**
   * Hears the answer of a call that was given up at its deadline, if one still comes, so that `keep` is written all the same.
   * Must not throw.
   */
  readonly onLateAnswer?: (answer: LateAnswer<R>) => void;
}

export type LateAnswer<R> = { readonly ok: true; readonly reply: R } | { readonly ok: false; readonly error: unknown };

export interface GatewayState {
  readonly breaker: 'closed' | 'open';
  readonly cause: 'unavailable' | 'credential' | null;
  /** ms for which a 429 still holds all calls; 0: none. */
  readonly blockedForMs: number;
  readonly frozen: { readonly by: string; readonly why: string } | null;
}

/** No token, no slot, or a 429 holds the account. Nothing was sent, or the provider said that it was not done. */
export class Throttled extends Error {
  override readonly name = 'Throttled';
  readonly retryAfterMs: number;
  constructor(retryAfterMs: number) {
    super('The provider account is rate limited');
    this.retryAfterMs = retryAfterMs;
  }
}

/** The breaker of the account is open. Nothing was sent. */
export class BreakerOpen extends Error {
  override readonly name = 'BreakerOpen';
  readonly provider: string;
  readonly account: string;
  override readonly cause: 'unavailable' | 'credential';
  constructor(provider: string, account: string, cause: 'unavailable' | 'credential') {
    super('The breaker of the provider account is open');
    this.provider = provider;
    this.account = account;
    this.cause = cause;
  }
}

/** The account is frozen and the call would change something. Nothing was sent. */
export class Frozen extends Error {
  override readonly name = 'Frozen';
  readonly by: string;
  readonly why: string;
  constructor(by: string, why: string) {
    super('The provider account is frozen');
    this.by = by;
    this.why = why;
  }
}

/** The call names a location off the allow-list. Nothing was sent. */
export class ResidencyViolation extends Error {
  override readonly name = 'ResidencyViolation';
  readonly location: string;
  constructor(location: string) {
    super('The location of the call is not on the allow-list');
    this.location = location;
  }
}

/** Our own deadline passed: a mutating call has an unknown outcome. */
export class DeadlineExceeded extends Error {
  override readonly name = 'DeadlineExceeded';
  readonly mutating: boolean;
  constructor(mutating: boolean) {
    super('The provider did not answer before the deadline');
    this.mutating = mutating;
  }
}
