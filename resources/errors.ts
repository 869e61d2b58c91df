import type { Remedy } from './condition.ts';
import type { Json } from './json.ts';

/** HTTP status of each error code of the API (conditions.md, Errors of the API). */
export const httpStatusOf = {
  VALIDATION: 400,
  CYCLE: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  POLICY_DENIED: 403,
  APPROVAL_REQUIRED: 403,
  BUDGET_EXCEEDED: 403,
  QUOTA_EXCEEDED: 403,
  NOT_FOUND: 404,
  GENERATION_CONFLICT: 409,
  IDEMPOTENCY_MISMATCH: 409,
  PLAN_STALE: 409,
  IN_USE: 409,
  PROTECTED: 409,
  PRECONDITION_FAILED: 412,
  CURSOR_EXPIRED: 412,
  CONFIRMATION_REQUIRED: 428,
  PAYLOAD_TOO_LARGE: 413,
  RATE_LIMITED: 429,
  UNAVAILABLE: 503,
  INTERNAL: 500,
} as const;

export type ErrorCode = keyof typeof httpStatusOf;

/** One problem of an input: where, what, and what would be right. */
export interface Issue {
  /** Dotted from the input: "manifest.spec.lifecycle[0].deleteAfterDays". */
  readonly path: string;
  readonly message: string;
  readonly allowed: Json;
}

export interface ApiErrorData {
  readonly code: ErrorCode;
  readonly message: string;
  readonly path: string | null;
  readonly allowed: Json;
  readonly current: Json;
  readonly issues: readonly Issue[];
  readonly retryable: boolean;
  readonly retryAfterMs: number | null;
  readonly remedy: readonly Remedy[];
}

/** Issues an error lists at most; the first is repeated at the top. */
export const issuesMax = 50;

/** An error that a caller can act on; the one shape of all doors. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly data: ApiErrorData;
  constructor(code: ErrorCode, message: string, details: Partial<Omit<ApiErrorData, 'code' | 'message'>> = {}) {
    super(message);
    this.data = {
      code,
      message,
      path: null,
      allowed: null,
      current: null,
      issues: [],
      retryable: code === 'RATE_LIMITED' || code === 'UNAVAILABLE',
      retryAfterMs: null,
      remedy: [],
      ...details,
    };
  }
}

/** VALIDATION with all problems; the first is repeated at the top. `issues` must not be empty. */
export function validationError(issues: readonly [Issue, ...Issue[]] | readonly Issue[]): ApiError {
  const [first] = issues;
  return new ApiError('VALIDATION', first?.message ?? 'The input is not valid.', {
    path: first?.path ?? null,
    allowed: first?.allowed ?? null,
    issues: issues.slice(0, issuesMax),
  });
}

/** The one body for what is missing, deleted, foreign or unknown, so that nothing can be probed. */
export function notFound(): ApiError {
  return new ApiError('NOT_FOUND', 'There is no such thing here, or the key may not see it.');
}
