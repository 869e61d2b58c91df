// V4 signed URLs: whether a request carries a valid signature, and whose. Wire facts: gcp-aws §2.6 and §12.

import { createHash, verify } from 'node:crypto';
import type { CloudRequest } from '#hack/cloud/door.ts';
import { GcsError } from './errors.ts';

/** Longest validity: seven days. */
const EXPIRES_SECONDS_MAX = 604_800;
/** How far in the future X-Goog-Date may lie, for clocks that differ. */
const SKEW_MS = 900_000;
const ALGORITHM = 'GOOG4-RSA-SHA256';

/** What the verifier needs to know. */
export interface SignatureContext {
  readonly nowMs: number;
  keysOf(email: string): readonly { publicKeyPem: string }[];
}

/** Whether the request claims to be signed. */
export function isSigned(query: URLSearchParams): boolean {
  return lowerKeys(query).has('x-goog-signature');
}

/** The account that signed this very request. Throws 400 (malformed, expired) or 403 (does not match). */
export function signerOf(request: CloudRequest, context: SignatureContext): string {
  const parameters = lowerKeys(new URLSearchParams(request.query));
  const part = (name: string): string => {
    const value = parameters.get(`x-goog-${name}`);
    if (value === undefined) throw malformed(`x-goog-${name}`, 'The parameter is missing.');
    return value;
  };
  if (part('algorithm') !== ALGORITHM) throw malformed('x-goog-algorithm', `Only ${ALGORITHM} is supported.`);
  const credential = /^([^/]+)\/(\d{8})\/([^/]+)\/storage\/goog4_request$/.exec(part('credential'));
  const [, email = '', day = '', region = ''] = credential ?? [];
  if (credential === null)
    throw malformed('x-goog-credential', 'Use <account>/<date>/<location>/storage/goog4_request.');
  const date = part('date');
  checkTimes({ date, day, expires: part('expires'), nowMs: context.nowMs });
  const signedHeaders = part('signedheaders').split(';');
  if (!/^(?:[0-9a-f]{2})+$/i.test(part('signature'))) throw malformed('x-goog-signature', 'Use hexadecimal digits.');
  const signature = Buffer.from(part('signature'), 'hex');
  const hashed = (canonical: string): string =>
    [ALGORITHM, date, `${day}/${region}/storage/goog4_request`, sha256(canonical)].join('\n');
  const canonical = canonicalRequest(request, signedHeaders);
  const forms = [canonical, canonicalRequest(request, signedHeaders, { port: true })].map(hashed);
  const keys = context.keysOf(email);
  const fits = (toSign: string): boolean =>
    keys.some((key) => verify('RSA-SHA256', Buffer.from(toSign), key.publicKeyPem, signature));
  if (forms.some(fits)) return email;
  throw new GcsError({
    status: 403,
    reason: 'forbidden',
    message: 'The signature does not match.',
    xmlCode: 'SignatureDoesNotMatch',
    fields: { StringToSign: hashed(canonical), CanonicalRequest: canonical },
  });
}

function checkTimes(times: { date: string; day: string; expires: string; nowMs: number }): void {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(times.date);
  if (match === null || !times.date.startsWith(times.day))
    throw malformed('x-goog-date', 'Use YYYYMMDDTHHMMSSZ, on the day of the credential.');
  const [, year, month, day, hour, minute, second] = match.map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const signedMs = Date.UTC(year, month - 1, day, hour, minute, second);
  const seconds = Number(times.expires);
  if (!/^\d{1,6}$/.test(times.expires) || seconds < 1 || seconds > EXPIRES_SECONDS_MAX)
    throw malformed('x-goog-expires', `Use 1 to ${EXPIRES_SECONDS_MAX} seconds.`);
  if (signedMs > times.nowMs + SKEW_MS) throw malformed('x-goog-date', 'The signature is not valid yet.');
  const expiresMs = signedMs + seconds * 1_000;
  if (times.nowMs < expiresMs) return;
  throw new GcsError({
    status: 400,
    reason: 'invalid',
    message: `Request signature expired at: ${new Date(expiresMs).toISOString()}`,
    xmlCode: 'ExpiredToken',
  });
}

/** The request as its signer saw it. Clients send the host with its port; Node's SDK signs it without, Python's and Java's with. */
function canonicalRequest(
  request: CloudRequest,
  signedHeaders: readonly string[],
  host: { port: boolean } = { port: false },
): string {
  const headers = signedHeaders.map((name) => {
    const value = request.headers[name];
    if (value === undefined) throw malformed(name, 'Header was included in signedheaders, but not in the request.');
    const text = name === 'host' && !host.port ? value.replace(/:\d+$/, '') : value.trim().replaceAll(/\s+/g, ' ');
    return `${name}:${text}\n`;
  });
  if (!signedHeaders.includes('host')) throw malformed('host', 'The host header must be signed.');
  const unsigned = Object.keys(request.headers).find(
    (name) => name.startsWith('x-goog-') && !signedHeaders.includes(name),
  );
  if (unsigned !== undefined)
    throw malformed(unsigned, 'Header was included in the request, but not in signedheaders.');
  const query = request.query
    .split('&')
    .filter((pair) => pair !== '' && !/^x-goog-signature=/i.test(pair))
    .map((pair) => {
      const mark = pair.indexOf('=');
      return mark === -1 ? [recode(pair), ''] : [recode(pair.slice(0, mark)), recode(pair.slice(mark + 1))];
    })
    .sort(([a = '', x = ''], [b = '', y = '']) => (a === b ? (x < y ? -1 : 1) : a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
  const payload = request.headers['x-goog-content-sha256'] ?? 'UNSIGNED-PAYLOAD';
  return [request.method, request.path, query, headers.join(''), signedHeaders.join(';'), payload].join('\n');
}

/** Percent-encoding as V4 wants it: of everything but letters, digits and -._~ */
function recode(text: string): string {
  const decoded = safeDecode(text.replaceAll('+', ' '));
  return encodeURIComponent(decoded).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw malformed('query', 'The query is not percent-encoded UTF-8.');
  }
}

function lowerKeys(query: URLSearchParams): Map<string, string> {
  return new Map([...query].map(([key, value]) => [key.toLowerCase(), value]));
}

function malformed(parameter: string, details: string): GcsError {
  return new GcsError({
    status: 400,
    reason: 'invalid',
    message: details,
    xmlCode: 'MalformedSecurityHeader',
    fields: { ParameterName: parameter },
  });
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
