// CORS as a bucket's configuration has it, for browsers that use object URLs.

import type { CloudRequest } from '#hack/cloud/door.ts';
import type { BucketRecord } from './context.ts';

interface CorsRule {
  readonly origin?: readonly string[];
  readonly method?: readonly string[];
  readonly responseHeader?: readonly string[];
  readonly maxAgeSeconds?: number;
}

/** Default lifetime of a preflight answer. */
const MAX_AGE_SECONDS = 3_600;

/** Headers that let the browser's page see the answer; none if no rule covers its origin and method. */
export function corsHeaders(bucket: BucketRecord | undefined, request: CloudRequest): Record<string, string> {
  const { origin } = request.headers;
  if (origin === undefined) return {};
  const preflight = request.method === 'OPTIONS';
  const method = preflight ? (request.headers['access-control-request-method'] ?? '') : request.method;
  const rule = rulesOf(bucket).find(
    (candidate) => covers(candidate.origin, origin) && covers(candidate.method, method),
  );
  if (rule === undefined) return {};
  const shared = { 'access-control-allow-origin': rule.origin?.includes('*') === true ? '*' : origin, vary: 'Origin' };
  const exposed = rule.responseHeader ?? [];
  if (!preflight)
    return exposed.length === 0 ? shared : { ...shared, 'access-control-expose-headers': exposed.join(', ') };
  const asked = (request.headers['access-control-request-headers'] ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const allowed = asked.filter((name) =>
    exposed.some((known) => known === '*' || known.toLowerCase() === name.toLowerCase()),
  );
  return {
    ...shared,
    'access-control-allow-methods': (rule.method ?? []).join(','),
    ...(allowed.length === 0 ? {} : { 'access-control-allow-headers': allowed.join(',') }),
    'access-control-max-age': String(rule.maxAgeSeconds ?? MAX_AGE_SECONDS),
  };
}

function rulesOf(bucket: BucketRecord | undefined): readonly CorsRule[] {
  return (bucket?.fields['cors'] ?? []) as readonly CorsRule[];
}

function covers(allowed: readonly string[] | undefined, value: string): boolean {
  return allowed !== undefined && (allowed.includes('*') || allowed.includes(value));
}
