/** How the gateway refuses a call. Only DeadlineExceeded leaves open what the provider did; the rest sent nothing that took effect. */

/**
 * No token, no slot, a 429 holds the account, or the send could not begin in time. Nothing was sent, even where `beforeSend` ran,
 * or the provider said that it was not done.
 */
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
