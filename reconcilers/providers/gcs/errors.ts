import { z } from 'zod';
import { ProviderError } from '#controller/contract.ts';
import type { ProviderErrorDetail } from '#controller/contract.ts';
import { quoted } from '#resources/text.ts';
import { retryAfterMs, rowFor, unclassified } from '#reconcilers/providers/http-errors.ts';
import type { ErrorRow, Refusal } from '#reconcilers/providers/http-errors.ts';
import type { GcsReply } from './transport.ts';

/**
 * Cloud Storage's errors: HTTP status and errors[0].reason to what they mean for us (JSON API, "HTTP status and error codes").
 * The first row that fits wins. A code that no row names is ProviderErrorUnclassified.
 */
export const gcsErrors: readonly ErrorRow[] = [
  { status: 400, verdict: 'rejected', reason: 'ProviderRejected', outcome: 'not-done' },
  { status: 401, verdict: 'credential', reason: 'AuthenticationFailed', outcome: 'not-done' },
  {
    status: 403,
    code: /^(rateLimitExceeded|userRateLimitExceeded)$/,
    verdict: 'throttled',
    reason: 'RateLimited',
    outcome: 'not-done',
  },
  {
    status: 403,
    code: /^(quotaExceeded|dailyLimitExceeded)$/,
    verdict: 'throttled',
    reason: 'ProviderQuotaExceeded',
    outcome: 'not-done',
  },
  // Before retention of objects: the locked policy of the bucket itself.
  {
    status: 403,
    message: /locked retention policy/i,
    verdict: 'rejected',
    reason: 'ImmutableFieldChanged',
    outcome: 'not-done',
  },
  { status: 403, code: /^retentionPolicyNotMet$/, verdict: 'rejected', reason: 'RetentionUntil', outcome: 'not-done' },
  {
    status: 403,
    message: /retention (policy|configuration|expir)|active .{0,20}hold/i,
    verdict: 'rejected',
    reason: 'RetentionUntil',
    outcome: 'not-done',
  },
  { status: 403, verdict: 'credential', reason: 'PermissionDenied', outcome: 'not-done' },
  // Where "not found" is an answer, the client takes it before this table: here something vanished under our hands.
  { status: 404, code: /^(notFound)?$/, verdict: 'retryable', reason: 'ProviderConflict', outcome: 'not-done' },
  { status: [405, 405], verdict: 'rejected', reason: 'UnsupportedByProvider', outcome: 'not-done' },
  { status: 408, verdict: 'unavailable', reason: 'ProviderTimeout', outcome: 'unknown' },
  { status: 409, verdict: 'retryable', reason: 'ProviderConflict', outcome: 'not-done' },
  { status: 412, verdict: 'retryable', reason: 'ProviderConflict', outcome: 'not-done' },
  { status: 429, verdict: 'throttled', reason: 'RateLimited', outcome: 'not-done' },
  { status: 501, verdict: 'rejected', reason: 'UnsupportedByProvider', outcome: 'not-done' },
  { status: 500, verdict: 'unavailable', reason: 'ProviderUnavailable', outcome: 'unknown' },
  { status: [502, 504], verdict: 'unavailable', reason: 'ProviderUnavailable', outcome: 'unknown' },
];

const errorBody = z.looseObject({
  error: z.looseObject({
    code: z.int(),
    message: z.string().default(''),
    errors: z.array(z.looseObject({ reason: z.string().default('') })).default([]),
  }),
});

/** The refusal in an answer, or null if it is a plain success. A 200 whose JSON holds an `error` is a refusal too. */
export function refusalOf(reply: GcsReply): (Refusal & { readonly shaped: boolean }) | null {
  const parsed = errorBody.safeParse(reply.body);
  if (parsed.success) {
    const { code, message, errors } = parsed.data.error;
    return { status: code, code: errors[0]?.reason ?? '', message, shaped: true };
  }
  if (reply.status >= 200 && reply.status < 300) return null;
  return { status: reply.status, code: '', message: '', shaped: false };
}

/** Whether the server itself says that the thing asked for does not exist: not a proxy's page, not a wrong path. */
export function isNotFound(refusal: Refusal & { readonly shaped: boolean }): boolean {
  return refusal.shaped && refusal.status === 404 && (refusal.code === 'notFound' || refusal.code === '');
}

/**
 * The error of a refused call. Statuses below 500 count only in Google's own error form: a page of some proxy says nothing about the
 * thing asked for.
 */
export function gcsError(reply: GcsReply, op: string): ProviderError {
  const refusal = refusalOf(reply) ?? { status: reply.status, code: '', message: '', shaped: false };
  const spoken = refusal.shaped || refusal.status >= 500 || refusal.status === 429;
  const code = spoken ? refusal.code : 'not in the form of Cloud Storage';
  const providerCode = code === '' ? String(refusal.status) : `${refusal.status} ${code}`;
  const row = spoken ? rowFor(gcsErrors, refusal) : undefined;
  const message = `Cloud Storage refused ${op} with ${refusal.status}: ${quoted(refusal.message)}.`;
  if (row === undefined) return unclassified(message, providerCode);
  const after = retryAfterMs(reply.headers['retry-after']);
  const detail: ProviderErrorDetail = {
    verdict: row.verdict,
    reason: row.reason,
    outcome: row.outcome,
    providerCode,
    ...(after === undefined ? {} : { retryAfterMs: after }),
  };
  return new ProviderError(message, detail);
}
