import { describe, expect, it } from 'vitest';
import { makeRow } from '#resources/testing.ts';
import { ProviderError } from '#controller/contract.ts';
import type { ProviderErrorDetail } from '#controller/contract.ts';
import { outcomeOfFailure } from './failures.ts';
import { BreakerOpen, DeadlineExceeded, Frozen, ResidencyViolation, Throttled } from '#controller/gateway/errors.ts';
import type { GatewayState } from '#controller/gateway/types.ts';
import { PassStopped } from './scope.ts';

const account = { provider: 'gcs', account: 'p1' };
const closed: GatewayState = { breaker: 'closed', cause: null, blockedForMs: 0, frozen: null };
const dead: GatewayState = { ...closed, breaker: 'open', cause: 'credential' };
const down: GatewayState = { ...closed, breaker: 'open', cause: 'unavailable' };

const provider = (verdict: ProviderErrorDetail['verdict'], more: Partial<ProviderErrorDetail> = {}): ProviderError =>
  new ProviderError('text of the client', {
    verdict,
    reason: 'ProviderRejected',
    outcome: 'not-done',
    providerCode: '400',
    ...more,
  });
const outcome = (error: unknown, state = closed) =>
  outcomeOfFailure(error, { row: makeRow({}), account, state: () => state });

describe('what was thrown decides how the pass ends', () => {
  it.each([
    [
      'a rejection parks until the spec changes',
      provider('rejected'),
      closed,
      { type: 'rejected', clearsOn: ['spec:uid-1'] },
    ],
    [
      'a rejection also listens to what its table names',
      provider('rejected', { clearsOn: ['quota:acme'] }),
      closed,
      { clearsOn: ['quota:acme', 'spec:uid-1'] },
    ],
    ['a passing failure is tried again', provider('retryable'), closed, { type: 'retryable' }],
    [
      'one failure of availability is tried again',
      provider('unavailable'),
      closed,
      { type: 'retryable', reason: 'ProviderUnavailable' },
    ],
    ['with the breaker open it parks', provider('unavailable'), down, { type: 'unavailable', account }],
    ['a refused credential may be a mistake', provider('credential'), closed, { type: 'credential', stalled: false }],
    ['with the breaker open by it, it is dead', provider('credential'), dead, { type: 'credential', stalled: true }],
    ['a breaker open for another cause does not say so', provider('credential'), down, { stalled: false }],
    [
      'it keeps the reason that its table gives',
      provider('credential', { reason: 'PermissionDenied' }),
      dead,
      { reason: 'PermissionDenied' },
    ],
    [
      'any other reason of it is AuthenticationFailed',
      provider('credential'),
      dead,
      { reason: 'AuthenticationFailed' },
    ],
    [
      'a 429 waits as long as it says',
      provider('throttled', { retryAfterMs: 7 }),
      closed,
      { type: 'throttled', retryAfterMs: 7 },
    ],
    ['a hold of the gateway too', new Throttled(9), closed, { type: 'throttled', retryAfterMs: 9 }],
    [
      'an open breaker parks on its own account',
      new BreakerOpen('ses', 'x', 'credential'),
      closed,
      { type: 'unavailable', account: { provider: 'ses', account: 'x' } },
    ],
    [
      'a freeze refuses',
      new Frozen('sre', 'why'),
      closed,
      { type: 'refused', reason: 'ProviderFrozen', parkedOn: account },
    ],
    [
      'a foreign location stalls',
      new ResidencyViolation('us'),
      closed,
      { type: 'stalled', reason: 'ResidencyViolation' },
    ],
    ['a slow read is tried again', new DeadlineExceeded(false), closed, { type: 'retryable' }],
    ['a listing broken off by another pass is read again', new PassStopped('x'), closed, { type: 'retryable' }],
    ['what a kind wrapped is found', new Error('outer', { cause: new Throttled(3) }), closed, { type: 'throttled' }],
    [
      'anything else is our bug',
      new TypeError('undefined is not a function'),
      closed,
      { type: 'bug', reason: 'InternalError' },
    ],
    ['also what is no error at all', 'oops', closed, { type: 'bug' }],
  ] as const)('%s', (...[, error, state, expected]) => {
    expect(outcome(error, state)).toMatchObject(expected);
  });

  it('quotes what comes from outside, and shows nothing of our own errors but their name', () => {
    expect(outcome(provider('rejected'))).toMatchObject({ message: 'gcs/p1 refused: "text of the client"' });
    expect(outcome(provider('retryable', { providerCode: 'a\nb' }))).toMatchObject({
      message:
        'gcs/p1 answered "a b" (ProviderRejected). It is tried again by itself, at retry.nextAt; if it stays so, resources.passes shows what was asked and answered.',
      providerCode: 'a\nb',
    });
    expect(JSON.stringify(outcome(new TypeError('secret')))).not.toContain('secret');
  });
});
