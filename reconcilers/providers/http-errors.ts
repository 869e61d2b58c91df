import { ProviderError } from '#controller/contract.ts';
import type { ProviderErrorDetail } from '#controller/contract.ts';

/**
 * What all HTTP providers share in telling why a call failed. Each provider has a table of its own; this file knows only what HTTP and
 * the network mean by themselves.
 */

/** One row of a provider's table: the first that fits wins. */
export interface ErrorRow {
  readonly status: number | readonly [from: number, to: number];
  /** The provider's own code; absent: any. */
  readonly code?: RegExp;
  readonly message?: RegExp;
  readonly verdict: ProviderErrorDetail['verdict'];
  readonly reason: string;
  readonly outcome: ProviderErrorDetail['outcome'];
}

/** An answer that says no, as far as it could be read. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

/** The row of the table that a refusal falls under, or undefined. Pure. */
export function rowFor(table: readonly ErrorRow[], refusal: Refusal): ErrorRow | undefined {
  return table.find((row) => {
    const [from, to] = typeof row.status === 'number' ? [row.status, row.status] : row.status;
    if (refusal.status < from || refusal.status > to) return false;
    return (row.code?.test(refusal.code) ?? true) && (row.message?.test(refusal.message) ?? true);
  });
}

/** An answer that no table knows, or that could not be read: nobody can tell what it did, so that it never means Ready or deleted. */
export function unclassified(message: string, providerCode: string): ProviderError {
  return new ProviderError(message, {
    verdict: 'retryable',
    reason: 'ProviderErrorUnclassified',
    outcome: 'unknown',
    providerCode,
  });
}

/** Errors of the network at which nothing can have been sent. */
const neverConnected = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EPROTO']);

/**
 * No answer came: refused connections sent nothing, everything else may have arrived. A request that could not even be written says nothing
 * about the provider: taken for an outage, text of one tenant would open the breaker for all.
 */
export function noAnswer(error: unknown): ProviderError {
  if (error instanceof ProviderError) return error;
  if (error instanceof URIError) return unwritable();
  const code = codeOf(error);
  return new ProviderError(`The provider gave no answer (${code}).`, {
    verdict: 'unavailable',
    reason: 'ProviderUnavailable',
    outcome: neverConnected.has(code) ? 'not-done' : 'unknown',
    providerCode: code,
  });
}

function unwritable(): ProviderError {
  return new ProviderError('The request holds text that no URL can hold; nothing was sent.', {
    verdict: 'rejected',
    reason: 'ProviderRejected',
    outcome: 'not-done',
    providerCode: 'unwritable',
  });
}

function codeOf(error: unknown): string {
  if (error === null || typeof error !== 'object') return 'error';
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  if (typeof code === 'string') return code;
  return cause === undefined ? 'error' : codeOf(cause);
}

/** Seconds of a Retry-After header in ms; undefined if it is missing or a date (a worker's clock is not compared with a provider's). */
export function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{1,6}$/.test(header)) return undefined;
  return Number(header) * 1000;
}

/**
 * Rejects when the signal aborts, whatever the promise does: some SDKs cannot be stopped. The abandoned call may still take effect, so
 * its outcome is unknown.
 */
export async function untilAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(timedOut());
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  work.catch(() => undefined); // an answer after the deadline is nobody's error
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function timedOut(): ProviderError {
  return new ProviderError('The provider did not answer before the deadline.', {
    verdict: 'unavailable',
    reason: 'ProviderTimeout',
    outcome: 'unknown',
    providerCode: 'deadline',
  });
}
