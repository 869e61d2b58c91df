import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { testCloud, type TestCloud } from './testing.ts';

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const EMAIL = 'signer@vibn-local.iam.gserviceaccount.com';

interface Wish {
  readonly method?: string;
  readonly date?: string;
  readonly expires?: number;
  readonly headers?: Record<string, string>;
}

/** A signer of its own, written from the documentation, so that the verifier is not measured against itself. */
function signedLine(path: string, wish: Wish = {}): string {
  const { method = 'GET', date = '20261120T080000Z', expires = 600, headers = {} } = wish;
  const all: Record<string, string> = { host: '127.0.0.1', ...headers };
  const names = Object.keys(all).sort();
  const scope = `${date.slice(0, 8)}/auto/storage/goog4_request`;
  const query = new Map([
    ['X-Goog-Algorithm', 'GOOG4-RSA-SHA256'],
    ['X-Goog-Credential', `${EMAIL}/${scope}`],
    ['X-Goog-Date', date],
    ['X-Goog-Expires', String(expires)],
    ['X-Goog-SignedHeaders', names.join(';')],
  ]);
  const canonicalQuery = [...query].map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join('&');
  const canonical = [
    method,
    path,
    canonicalQuery,
    names.map((name) => `${name}:${all[name]}\n`).join(''),
    names.join(';'),
    'UNSIGNED-PAYLOAD',
  ].join('\n');
  const toSign = ['GOOG4-RSA-SHA256', date, scope, createHash('sha256').update(canonical).digest('hex')].join('\n');
  const signature = sign('RSA-SHA256', Buffer.from(toSign), privateKey).toString('hex');
  return `${method} ${path}?${canonicalQuery}&X-Goog-Signature=${signature}`;
}

function cloudWithSigner(projectRoles?: string[]): TestCloud {
  const cloud = testCloud();
  cloud.model.registerServiceAccountKey({
    email: EMAIL,
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }),
    ...(projectRoles ? { projectRoles } : {}),
  });
  cloud.bucket('bucket-1');
  cloud.put('bucket-1', 'a b.txt', 'text');
  return cloud;
}

const READ = '/bucket-1/a%20b.txt';
const codeOf = (text: string): string | undefined => /<Code>(\w+)<\/Code>/.exec(text)?.[1];

describe('V4 signed URLs', () => {
  it('are honoured until the second they expire', () => {
    const cloud = cloudWithSigner();
    const line = signedLine(READ);
    cloud.clock.advance(599_999);
    expect(cloud.ask(line)).toMatchObject({ status: 200, text: 'text' });
    cloud.clock.advance(1);
    const expired = cloud.ask(line);
    expect([expired.status, codeOf(expired.text)]).toEqual([400, 'ExpiredToken']);
    expect(expired.headers['content-type']).toMatch(/^application\/xml/);
  });

  it('ignore the port of the Host header, as the SDK signs without it', () => {
    const cloud = cloudWithSigner();
    expect(cloud.ask(signedLine(READ), { headers: { host: '127.0.0.1:4511' } }).status).toBe(200);
    expect(cloud.ask(signedLine(READ), { headers: { host: 'elsewhere:4511' } }).status).toBe(403);
  });

  it('give only what the signer may do', () => {
    const cloud = cloudWithSigner(['roles/storage.objectViewer']);
    expect(cloud.ask(signedLine(READ)).status).toBe(200);
    const write = cloud.ask(signedLine('/bucket-1/new', { method: 'PUT' }), { body: 'x' });
    expect([write.status, codeOf(write.text)]).toEqual([403, 'AccessDenied']);
    expect(write.text).toContain(EMAIL);
  });

  it.each<[string, Wish, string]>([
    ['a date in the future', { date: '20261120T083000Z' }, 'MalformedSecurityHeader'],
    ['more than seven days', { expires: 604_801 }, 'MalformedSecurityHeader'],
    ['no validity', { expires: 0 }, 'MalformedSecurityHeader'],
    ['a nonsense date', { date: 'tomorrow' }, 'MalformedSecurityHeader'],
  ])('are refused with %s', (_what, wish, code) => {
    const answer = cloudWithSigner().ask(signedLine(READ, wish));
    expect([answer.status, codeOf(answer.text)]).toEqual([400, code]);
  });

  it('name the header that was signed and is missing', () => {
    const answer = cloudWithSigner().ask(
      signedLine('/bucket-1/new', { method: 'PUT', headers: { 'content-type': 'image/png' } }),
      { body: 'x' },
    );
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('<Code>MalformedSecurityHeader</Code>');
    expect(answer.text).toContain(
      '<ParameterName>content-type</ParameterName><Details>Header was included in signedheaders, but not in the request.</Details>',
    );
  });

  it('refuse an x-goog header that was added after signing', () => {
    const answer = cloudWithSigner().ask(signedLine('/bucket-1/new', { method: 'PUT' }), {
      body: 'x',
      headers: { 'x-goog-meta-owner': 'eve' },
    });
    expect(codeOf(answer.text)).toBe('MalformedSecurityHeader');
  });

  it('refuse a signature of an account without that key', () => {
    const cloud = testCloud();
    cloud.bucket('bucket-1');
    expect(codeOf(cloud.ask(signedLine(READ)).text)).toBe('SignatureDoesNotMatch');
  });

  it.each([
    ['0,4', '12345', 'EntityTooLarge'],
    ['2,4', '1', 'EntityTooSmall'],
    ['0,5', '12345', undefined],
  ])('hold a body to the signed length range %s', (range, body, code) => {
    const headers = { 'x-goog-content-length-range': range };
    const answer = cloudWithSigner().ask(signedLine('/bucket-1/new', { method: 'PUT', headers }), { body, headers });
    expect(codeOf(answer.text)).toBe(code);
  });
});
