// Self-signed service account JWTs as bearer tokens: what google-auth-library sends when it needs no token endpoint.

import { verify } from 'node:crypto';

interface Claims {
  readonly iss?: unknown;
  readonly sub?: unknown;
  readonly exp?: unknown;
  readonly iat?: unknown;
}

/** Clock difference that Google tolerates between signer and server. */
const SKEW_MS = 300_000;
/** Longest life of such a token. */
const LIFE_MS_MAX = 3_600_000;

/** The address that signed the token with one of its keys; undefined if it is no such token, expired, or signed by nobody known. */
export function accountOfJwt(
  token: string,
  nowMs: number,
  keysOf: (email: string) => readonly { publicKeyPem: string }[],
): string | undefined {
  const [header, payload, signature] = token.split('.');
  if (header === undefined || payload === undefined || signature === undefined) return undefined;
  const claims = parse(payload);
  const email = typeof claims?.iss === 'string' && claims.iss === claims.sub ? claims.iss.toLowerCase() : undefined;
  if (claims === undefined || email === undefined || !isCurrent(claims, nowMs)) return undefined;
  const signed = Buffer.from(`${header}.${payload}`);
  const bytes = Buffer.from(signature, 'base64url');
  return keysOf(email).some((key) => verify('RSA-SHA256', signed, key.publicKeyPem, bytes)) ? email : undefined;
}

function isCurrent(claims: Claims, nowMs: number): boolean {
  if (typeof claims.exp !== 'number' || typeof claims.iat !== 'number') return false;
  const startsMs = claims.iat * 1_000;
  const endsMs = claims.exp * 1_000;
  return startsMs <= nowMs + SKEW_MS && endsMs >= nowMs - SKEW_MS && endsMs - startsMs <= LIFE_MS_MAX;
}

function parse(part: string): Claims | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString());
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
