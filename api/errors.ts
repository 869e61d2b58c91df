import { TRPCError } from '@trpc/server';
import { ZodError } from 'zod';
import { CommitUnknown, errorCode, fateOf, StoreUnavailable } from '#controller/store/sql-errors.ts';
import { LaneFull } from '#controller/store/turns.ts';
import { ApiError, httpStatusOf, notFound, validationError } from '#resources/errors.ts';
import type { ApiErrorData, Issue } from '#resources/errors.ts';
import { issuesOf } from '#resources/issues.ts';
import type { KnownFields } from '#resources/issues.ts';

/**
 * The one shape of all errors, at every door (conditions.md, Errors of the API).
 *
 * Invariants
 * R1  Nothing of an unexpected error reaches the caller: no message, no stack. The log has it, under the same request id.
 * R2  What is missing, foreign or unknown has one and the same body.
 */

/** tRPC's envelope with our data. `requestId` is the trace id of the request. */
export interface WireError {
  readonly message: string;
  /** JSON-RPC's number, by HTTP status, as tRPC clients expect it. */
  readonly code: number;
  readonly data: ApiErrorData & {
    readonly httpStatus: number;
    readonly procedure: string | null;
    readonly requestId: string;
  };
}

const rpcCodes: Readonly<Record<number, number>> = {
  400: -32_600,
  401: -32_001,
  403: -32_003,
  404: -32_004,
  409: -32_009,
  412: -32_012,
  413: -32_013,
  428: -32_028,
  429: -32_029,
};
const rpcInternal = -32_603;
const procedureCharsMax = 128;

/** Where an error happened. */
export interface ErrorPlace {
  readonly procedure: string | null;
  readonly traceId: string;
  /** Fields that the procedure's input may have. */
  readonly fields?: KnownFields;
}

/** The error as it is sent. */
export function toWireError(cause: unknown, place: ErrorPlace): WireError {
  const { data } = asApiError(cause, place.fields);
  const httpStatus = httpStatusOf[data.code];
  return {
    message: data.message,
    code: rpcCodes[httpStatus] ?? rpcInternal,
    data: {
      code: data.code,
      httpStatus,
      procedure: place.procedure?.slice(0, procedureCharsMax) ?? null,
      message: data.message,
      path: data.path,
      allowed: data.allowed,
      current: data.current,
      issues: data.issues,
      retryable: data.retryable,
      retryAfterMs: data.retryAfterMs,
      remedy: data.remedy,
      requestId: place.traceId,
    },
  };
}

/** Any error as one that a caller can act on. Total. */
export function asApiError(cause: unknown, fields?: KnownFields): ApiError {
  if (cause instanceof ApiError) return cause;
  if (cause instanceof ZodError) return validationError(issuesOf(cause, '', fields));
  if (cause instanceof TRPCError) return ofTrpc(cause, fields);
  if (cause instanceof LaneFull) return tooManyWaiting(cause);
  if (isOutage(cause)) return unavailable();
  if (isTooLarge(cause)) return tooLarge();
  if (isClientFault(cause)) return invalid(cause.message);
  return new ApiError('INTERNAL', 'Something went wrong on our side. The log has it under this requestId.');
}

/** What tRPC itself finds wrong, or what it wrapped. Total over tRPC's codes. */
function ofTrpc(error: TRPCError, fields: KnownFields | undefined): ApiError {
  const { cause } = error;
  if (cause !== undefined && !(cause instanceof SyntaxError)) return asApiError(cause, fields);
  switch (error.code) {
    case 'NOT_FOUND':
      return notFound();
    case 'UNAUTHORIZED':
      return unauthenticated();
    case 'PAYLOAD_TOO_LARGE':
      return tooLarge();
    case 'BAD_REQUEST':
    case 'PARSE_ERROR':
    case 'METHOD_NOT_SUPPORTED':
    case 'UNSUPPORTED_MEDIA_TYPE':
    case 'UNPROCESSABLE_CONTENT':
      return invalid(error.message);
    default:
      return asApiError(null);
  }
}

function invalid(message: string): ApiError {
  return validationError([{ path: '', message: message.endsWith('.') ? message : `${message}.`, allowed: null }]);
}

/** No key, or one that is malformed, unknown, expired or revoked: which of these is not said. */
export function unauthenticated(): ApiError {
  return new ApiError(
    'UNAUTHENTICATED',
    'This call needs a valid API key. Send it as "Authorization: Bearer vibn_…"; a revoked or expired key is replaced with keys.create.',
  );
}

export function tooLarge(): ApiError {
  return new ApiError('PAYLOAD_TOO_LARGE', 'The body is larger than 1 MB. Split it into smaller calls.', {
    allowed: { maxBytes: 1_048_576 },
  });
}

/** The database, or the reader, does not answer: nothing is known to have happened; the same requestId may be sent again. */
export function unavailable(what = 'The database does not answer right now.'): ApiError {
  return new ApiError('UNAVAILABLE', `${what} Call again with the same requestId.`, { retryAfterMs: 1_000 });
}

/** Nothing was done: what else the tenant has asked for comes first. */
function tooManyWaiting({ waitingMax }: LaneFull): ApiError {
  const message = `${waitingMax} calls of the same caller wait for the database already. Send fewer at once, or ask for lists.`;
  return new ApiError('RATE_LIMITED', message, { allowed: { waitingMax }, retryAfterMs: 1_000 });
}

/** Whether the database could not be asked, gave up for a reason that passes, or did not say whether it committed. */
export function isOutage(cause: unknown): boolean {
  return cause instanceof StoreUnavailable || cause instanceof CommitUnknown || fateOf(cause) !== 'final';
}

function isTooLarge(cause: unknown): boolean {
  const code = errorCode(cause);
  return code === 'FST_ERR_CTP_BODY_TOO_LARGE' || code === 'HPE_HEADER_OVERFLOW';
}

/** What Fastify refuses: an unknown content type, a wrong length, a cut body. Their messages are fixed text. */
function isClientFault(cause: unknown): cause is Error & { statusCode: number } {
  if (!(cause instanceof Error) || !('statusCode' in cause)) return false;
  const { statusCode } = cause;
  return typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500;
}

/** Where a path of one input stands in another: the first prefix that fits is replaced. */
export type PathRules = readonly (readonly [from: string, to: string])[];

/** Runs `body`; an error about an inner input names the place in the outer one, where the caller can mend it. */
export async function withPaths<T>(rules: PathRules, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const { code, message, ...details } = error.data;
    const path = details.path === null ? null : moved(rules, details.path);
    const issues = details.issues.map((issue): Issue => ({ ...issue, path: moved(rules, issue.path) }));
    throw Object.assign(error, { data: { code, message, ...details, path, issues } });
  }
}

function moved(rules: PathRules, path: string): string {
  const [from, to] = rules.find(([prefix]) => path.startsWith(prefix)) ?? ['', ''];
  return `${to}${path.slice(from.length)}`;
}
