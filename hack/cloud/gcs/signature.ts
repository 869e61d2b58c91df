// V4 signatures: whether a request carries a valid one, and whose. Wire facts: gcp-aws §2.6, §2.7, §8.5 and §12.

import { createHash, createHmac, timingSafeEqual, verify } from 'node:crypto';
import type { CloudRequest } from '#hack/cloud/door.ts';
import { GcsError, notModelled } from './errors.ts';
import { claimOf, malformed, type SignatureClaim } from './signature-claim.ts';

/** What the verifier needs to know. */
export interface SignatureContext {
  readonly nowMs: number;
  keysOf(email: string): readonly { publicKeyPem: string }[];
  /** An ACTIVE HMAC key of an account that may sign; undefined: there is none of that id. */
  hmacKeyOf(accessId: string): { readonly secret: string; readonly email: string } | undefined;
}

/** The account that signed this very request. Throws 400 (malformed, expired) or 403 (does not match). */
export function signerOf(request: CloudRequest, context: SignatureContext): string {
  const claim = claimOf(request, context.nowMs);
  checkPayload(request, claim);
  const hashed = (canonical: string): string =>
    [claim.algorithm, claim.date, claim.scope.join('/'), sha256(canonical)].join('\n');
  const canonical = canonicalRequest(request, claim);
  const forms = [canonical, canonicalRequest(request, claim, { port: true })].map(hashed);
  const email = claim.secretPrefix === '' ? rsaSigner(claim, forms, context) : hmacSigner(claim, forms, context);
  if (email !== undefined) return email;
  throw new GcsError({
    status: 403,
    reason: 'forbidden',
    message: 'The signature does not match.',
    xmlCode: 'SignatureDoesNotMatch',
    fields: { StringToSign: hashed(canonical), CanonicalRequest: canonical },
  });
}

function rsaSigner(claim: SignatureClaim, forms: readonly string[], context: SignatureContext): string | undefined {
  const keys = context.keysOf(claim.authorizer);
  const fits = (toSign: string): boolean =>
    keys.some((key) => verify('RSA-SHA256', Buffer.from(toSign), key.publicKeyPem, claim.signature));
  return forms.some(fits) ? claim.authorizer : undefined;
}

/** The signing key is derived from the secret as Amazon does it, step by step along the scope. */
function hmacSigner(claim: SignatureClaim, forms: readonly string[], context: SignatureContext): string | undefined {
  const key = context.hmacKeyOf(claim.authorizer);
  if (key === undefined) return undefined;
  const start: Buffer = Buffer.from(`${claim.secretPrefix}${key.secret}`);
  const signing = claim.scope.reduce<Buffer>((derived, part) => hmac(derived, part), start);
  const fits = (toSign: string): boolean => {
    const wanted = hmac(signing, toSign);
    return wanted.length === claim.signature.length && timingSafeEqual(wanted, claim.signature);
  };
  return forms.some(fits) ? key.email : undefined;
}

/** A stated hash must be the body's. Bodies signed piece by piece (aws-chunked, trailers) are refused as the provider may. */
function checkPayload(request: CloudRequest, { payload, prefix }: SignatureClaim): void {
  if (payload === 'UNSIGNED-PAYLOAD') return;
  if (payload.startsWith('STREAMING-'))
    throw notModelled(
      `${prefix}-content-sha256: ${payload}; tell the client to add checksums only when required (requestChecksumCalculation)`,
    );
  const actual = createHash('sha256')
    .update(request.body ?? '')
    .digest('hex');
  if (payload !== actual) throw malformed(`${prefix}-content-sha256`, `The body's SHA-256 is ${actual}.`);
}

/** The request as its signer saw it. Clients send the host with its port; Node's SDK signs it without, Python's and Java's with. */
function canonicalRequest(
  request: CloudRequest,
  { signedHeaders, payload, prefix }: SignatureClaim,
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
    (name) => name.startsWith(`${prefix}-`) && !signedHeaders.includes(name),
  );
  if (unsigned !== undefined)
    throw malformed(unsigned, 'Header was included in the request, but not in signedheaders.');
  const query = request.query
    .split('&')
    .filter((pair) => pair !== '' && !/^x-(?:goog|amz)-signature=/i.test(pair))
    .map((pair) => {
      const mark = pair.indexOf('=');
      return mark === -1 ? [recode(pair), ''] : [recode(pair.slice(0, mark)), recode(pair.slice(mark + 1))];
    })
    .sort(([a = '', x = ''], [b = '', y = '']) => (a === b ? (x < y ? -1 : 1) : a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
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

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
