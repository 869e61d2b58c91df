import { describe, expect, it } from 'vitest';
import { ProviderError } from '#controller/contract.ts';
import { noAnswer, retryAfterMs, untilAborted } from './http-errors.ts';

describe('a call without an answer', () => {
  it.each([
    ['ECONNREFUSED', 'not-done'],
    ['ENOTFOUND', 'not-done'],
    ['ECONNRESET', 'unknown'],
    ['ETIMEDOUT', 'unknown'],
    ['UND_ERR_SOCKET', 'unknown'],
  ])('with %s has outcome %s', (code, outcome) => {
    expect(noAnswer(Object.assign(new Error('x'), { code })).detail).toMatchObject({ outcome, providerCode: code });
  });

  it('finds the code of a cause, and has an unknown outcome without one', () => {
    const cause = Object.assign(new Error('x'), { code: 'ECONNREFUSED' });
    expect(noAnswer(new Error('fetch failed', { cause })).detail.outcome).toBe('not-done');
    expect(noAnswer('nonsense').detail).toMatchObject({ outcome: 'unknown', providerCode: 'error' });
  });

  it('says nothing about the provider if the request could not even be written', () => {
    const unwritable = ((): unknown => {
      try {
        return encodeURIComponent('\ud800');
      } catch (error) {
        return error;
      }
    })();
    expect(noAnswer(unwritable).detail).toMatchObject({
      verdict: 'rejected',
      reason: 'ProviderRejected',
      outcome: 'not-done',
    });
  });

  it('keeps what is classified already', () => {
    const known = noAnswer(new Error('x'));
    expect(noAnswer(known)).toBe(known);
  });
});

describe('a deadline', () => {
  it('ends the wait for a call that never ends, with an unknown outcome', async () => {
    const controller = new AbortController();
    const waiting = untilAborted(controller.signal, new Promise(() => undefined));
    controller.abort();
    const error: unknown = await waiting.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ProviderError);
    expect((error as ProviderError).detail).toMatchObject({ reason: 'ProviderTimeout', outcome: 'unknown' });
  });

  it('refuses at once when it had passed before', async () => {
    await expect(untilAborted(AbortSignal.abort(), Promise.resolve(1))).resolves.toBe(1);
    await expect(untilAborted(AbortSignal.abort(), new Promise(() => undefined))).rejects.toThrow('deadline');
  });

  it('leaves answers and errors in time as they are', async () => {
    const { signal } = new AbortController();
    await expect(untilAborted(signal, Promise.resolve(7))).resolves.toBe(7);
    await expect(untilAborted(signal, Promise.reject(new Error('no')))).rejects.toThrow('no');
  });
});

it('Retry-After counts in whole seconds only', () => {
  expect([retryAfterMs('3'), retryAfterMs(undefined), retryAfterMs('-1'), retryAfterMs('soon')]).toEqual([
    3000,
    undefined,
    undefined,
    undefined,
  ]);
});
