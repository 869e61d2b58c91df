// What a V4-signed request says about its signature, in the query of a signed URL or in the Authorization header of a direct request.
// Wire facts: gcp-aws §2.6, §2.7, §8.5; the two HMAC forms: Google's pages "Signatures" and "Simple migration from Amazon S3".

import type { CloudRequest } from '#hack/cloud/door.ts';
import { GcsError } from './errors.ts';

/** Ways of signing: with a service account's RSA key, or with its HMAC key in Google's or in Amazon's spelling. */
export type Algorithm = 'GOOG4-RSA-SHA256' | 'GOOG4-HMAC-SHA256' | 'AWS4-HMAC-SHA256';

/** Longest validity of a signed URL: seven days. */
const EXPIRES_SECONDS_MAX = 604_800;
/** How far the clocks of a signer and of the provider may differ; also how long a signed header holds. */
const SKEW_MS = 900_000;

/** What each algorithm calls things: its headers and parameters, the tail of its scope, what its HMAC key begins with. */
const SPELLINGS: Readonly<Record<Algorithm, { prefix: string; service: string; request: string; secret: string }>> = {
  'GOOG4-RSA-SHA256': { prefix: 'x-goog', service: 'storage', request: 'goog4_request', secret: '' },
  'GOOG4-HMAC-SHA256': { prefix: 'x-goog', service: 'storage', request: 'goog4_request', secret: 'GOOG4' },
  'AWS4-HMAC-SHA256': { prefix: 'x-amz', service: 's3', request: 'aws4_request', secret: 'AWS4' },
};

/** A signature that fits its time; whether it fits the request is not known yet. */
export interface SignatureClaim {
  readonly algorithm: Algorithm;
  /** The account's address, or the HMAC key's access id. */
  readonly authorizer: string;
  /** YYYYMMDD/region/service/request, as signed. */
  readonly scope: readonly [day: string, region: string, service: string, request: string];
  /** YYYYMMDDTHHMMSSZ. */
  readonly date: string;
  readonly signedHeaders: readonly string[];
  readonly signature: Buffer;
  /** What the canonical request ends with: the SHA-256 of the body, or UNSIGNED-PAYLOAD. */
  readonly payload: string;
  /** "x-goog" or "x-amz": how its own headers and parameters begin. */
  readonly prefix: string;
  /** What an HMAC secret is prefixed with before the key is derived. */
  readonly secretPrefix: string;
}

interface RawClaim {
  readonly algorithm: string;
  readonly credential: string;
  readonly date: string;
  readonly signedHeaders: string;
  readonly signature: string;
  /** Seconds, as text; undefined in a header, which holds for SKEW_MS. */
  readonly expires: string | undefined;
  readonly prefix: string;
}

/** Whether the request claims to be signed. */
export function isSigned(request: CloudRequest): boolean {
  return fromQuery(request) || fromHeader(request) !== undefined;
}

/** The claim of a signed request. Throws 400 if it is malformed, not valid yet, or no more. */
export function claimOf(request: CloudRequest, nowMs: number): SignatureClaim {
  const raw = fromQuery(request) ? queryClaim(request) : headerClaim(request);
  const algorithm = Object.keys(SPELLINGS).find((one) => one === raw.algorithm) as Algorithm | undefined;
  if (algorithm === undefined || SPELLINGS[algorithm].prefix !== raw.prefix)
    throw malformed(`${raw.prefix}-algorithm`, `Use one of ${Object.keys(SPELLINGS).join(', ')}.`);
  const { service, request: kind, secret } = SPELLINGS[algorithm];
  const credential = /^(.+)\/(\d{8})\/([^/]+)\/([^/]+)\/([^/]+)$/.exec(raw.credential);
  const [, authorizer = '', day = '', region = ''] = credential ?? [];
  if (credential === null || credential[4] !== service || credential[5] !== kind)
    throw malformed(`${raw.prefix}-credential`, `Use <account>/<date>/<location>/${service}/${kind}.`);
  checkTimes(raw, day, nowMs);
  if (!/^(?:[0-9a-f]{2})+$/i.test(raw.signature)) throw malformed(`${raw.prefix}-signature`, 'Use hexadecimal digits.');
  return {
    algorithm,
    authorizer,
    scope: [day, region, service, kind],
    date: raw.date,
    signedHeaders: raw.signedHeaders.split(';'),
    signature: Buffer.from(raw.signature, 'hex'),
    payload: request.headers[`${raw.prefix}-content-sha256`] ?? 'UNSIGNED-PAYLOAD',
    prefix: raw.prefix,
    secretPrefix: secret,
  };
}

function parametersOf(request: CloudRequest): Map<string, string> {
  return new Map([...new URLSearchParams(request.query)].map(([key, value]) => [key.toLowerCase(), value]));
}

function fromQuery(request: CloudRequest): boolean {
  const parameters = parametersOf(request);
  return parameters.has('x-goog-signature') || parameters.has('x-amz-signature');
}

/** "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…" in its parts. */
function fromHeader(request: CloudRequest): { algorithm: string; rest: string } | undefined {
  const match = /^((?:AWS4|GOOG4)-[A-Z0-9-]+) +(.*)$/.exec(request.headers['authorization'] ?? '');
  return match === null ? undefined : { algorithm: match[1] ?? '', rest: match[2] ?? '' };
}

function queryClaim(request: CloudRequest): RawClaim {
  const parameters = parametersOf(request);
  const prefix = parameters.has('x-goog-signature') ? 'x-goog' : 'x-amz';
  const part = (name: string): string => {
    const value = parameters.get(`${prefix}-${name}`);
    if (value === undefined) throw malformed(`${prefix}-${name}`, 'The parameter is missing.');
    return value;
  };
  return {
    prefix,
    algorithm: part('algorithm'),
    credential: part('credential'),
    date: part('date'),
    expires: part('expires'),
    signedHeaders: part('signedheaders'),
    signature: part('signature'),
  };
}

function headerClaim(request: CloudRequest): RawClaim {
  const { algorithm, rest } = fromHeader(request) ?? { algorithm: '', rest: '' };
  const prefix = algorithm.startsWith('AWS4') ? 'x-amz' : 'x-goog';
  const parts = new Map(
    rest.split(',').map((pair) => {
      const mark = pair.indexOf('=');
      return [pair.slice(0, mark).trim().toLowerCase(), pair.slice(mark + 1).trim()] as const;
    }),
  );
  const part = (name: string): string => {
    const value = parts.get(name.toLowerCase());
    if (value === undefined) throw malformed('Authorization', `${name} is missing.`);
    return value;
  };
  const date = request.headers[`${prefix}-date`];
  if (date === undefined) throw malformed(`${prefix}-date`, 'The header is missing.');
  return {
    prefix,
    algorithm,
    credential: part('Credential'),
    date,
    expires: undefined,
    signedHeaders: part('SignedHeaders'),
    signature: part('Signature'),
  };
}

function checkTimes({ date, expires, prefix }: RawClaim, day: string, nowMs: number): void {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date);
  if (match === null || !date.startsWith(day))
    throw malformed(`${prefix}-date`, 'Use YYYYMMDDTHHMMSSZ, on the day of the credential.');
  const [, year = '', month = '', dayOfMonth = '', hour = '', minute = '', second = ''] = match;
  const signedMs = Date.parse(`${year}-${month}-${dayOfMonth}T${hour}:${minute}:${second}Z`);
  const seconds = expires === undefined ? SKEW_MS / 1_000 : Number(expires);
  if (expires !== undefined && (!/^\d{1,6}$/.test(expires) || seconds < 1 || seconds > EXPIRES_SECONDS_MAX))
    throw malformed(`${prefix}-expires`, `Use 1 to ${EXPIRES_SECONDS_MAX} seconds.`);
  if (!(signedMs <= nowMs + SKEW_MS)) throw malformed(`${prefix}-date`, 'The signature is not valid yet.');
  const expiresMs = signedMs + seconds * 1_000;
  if (nowMs < expiresMs) return;
  throw new GcsError({
    status: 400,
    reason: 'invalid',
    message: `Request signature expired at: ${new Date(expiresMs).toISOString()}`,
    xmlCode: 'ExpiredToken',
  });
}

/** 400: the signature, or what it covers, is not put as V4 wants it. */
export function malformed(parameter: string, details: string): GcsError {
  return new GcsError({
    status: 400,
    reason: 'invalid',
    message: details,
    xmlCode: 'MalformedSecurityHeader',
    fields: { ParameterName: parameter },
  });
}
