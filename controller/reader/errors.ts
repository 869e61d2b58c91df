import { ApiError } from '#resources/errors.ts';
import { ProviderError } from '#controller/contract.ts';
import { BreakerOpen, DeadlineExceeded, ResidencyViolation, Throttled } from '#controller/gateway/errors.ts';

/** What went wrong while asking a provider, as callers may know it; null: a bug of ours. Provider text never crosses. Pure. */
export function toApiError(error: unknown): ApiError | null {
  if (error instanceof ApiError) return error;
  if (error instanceof Throttled) {
    const { retryAfterMs } = error;
    return new ApiError('RATE_LIMITED', 'The provider account is at its rate limit.', { retryAfterMs });
  }
  if (error instanceof BreakerOpen) {
    const { provider, cause } = error;
    const why = cause === 'credential' ? 'refuses our credential' : 'does not answer';
    return new ApiError('UNAVAILABLE', `The provider "${provider}" ${why}: it is asked again soon.`);
  }
  if (error instanceof DeadlineExceeded) {
    return new ApiError('UNAVAILABLE', 'The provider did not answer in time.');
  }
  if (error instanceof ResidencyViolation) {
    return new ApiError('POLICY_DENIED', 'The question would leave Canada.');
  }
  if (!(error instanceof ProviderError)) return null;
  const { verdict, reason, retryAfterMs, remedy } = error.detail;
  return new ApiError('UNAVAILABLE', `The provider refused the question: ${reason}.`, {
    retryable: verdict !== 'rejected',
    retryAfterMs: retryAfterMs ?? null,
    remedy: remedy ?? [],
  });
}
