import { createHash, createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { testCloud, type TestCloud } from './testing.ts';

const EMAIL = 'ws-acme@vibn-local.iam.gserviceaccount.com';
const KEYS = '/storage/v1/projects/vibn-local/hmacKeys';
const EMPTY = createHash('sha256').update('').digest('hex');

interface Key {
  readonly id: string;
  readonly secret: string;
}

function cloudWithKey(projectRoles = ['roles/storage.admin']): { cloud: TestCloud; key: Key } {
  const cloud = testCloud();
  cloud.model.registerServiceAccountKey({ email: EMAIL, publicKeyPem: PEM, projectRoles });
  cloud.bucket('bucket-1');
  cloud.put('bucket-1', 'a b.txt', 'text');
  const { secret, metadata } = cloud.ask(`POST ${KEYS}?serviceAccountEmail=${EMAIL}`).json;
  return { cloud, key: { id: metadata.accessId, secret } };
}

const PEM = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
`;

const DIALECTS = {
  AWS4: { algorithm: 'AWS4-HMAC-SHA256', prefix: 'x-amz', tail: ['auto', 's3', 'aws4_request'] },
  GOOG4: { algorithm: 'GOOG4-HMAC-SHA256', prefix: 'x-goog', tail: ['auto', 'storage', 'goog4_request'] },
} as const;

interface Wish {
  readonly dialect?: keyof typeof DIALECTS;
  readonly date?: string;
  readonly body?: string;
  readonly hash?: string;
  readonly headers?: Record<string, string>;
}

const mac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
const sha = (text: string): string => createHash('sha256').update(text).digest('hex');

/** A signer of its own, written from the documentation, so that the verifier is not measured against itself. */
function signature(key: Key, dialect: keyof typeof DIALECTS, parts: { canonical: string; date: string }): string {
  const { algorithm, tail } = DIALECTS[dialect];
  const scope = [parts.date.slice(0, 8), ...tail];
  const toSign = [algorithm, parts.date, scope.join('/'), sha(parts.canonical)].join('\n');
  let derived: string | Buffer = `${dialect}${key.secret}`;
  for (const part of scope) derived = mac(derived, part);
  return mac(derived, toSign).toString('hex');
}

/** The headers of a direct request. */
function signed(key: Key, line: string, wish: Wish = {}): { headers: Record<string, string>; body?: string } {
  const { dialect = 'AWS4', date = '20261120T080000Z', body, headers = {} } = wish;
  const { algorithm, prefix, tail } = DIALECTS[dialect];
  const [method = '', url = ''] = line.split(' ');
  const [path = '', query = ''] = url.split('?');
  const hash = wish.hash ?? (body === undefined ? EMPTY : sha(body));
  const all: Record<string, string> = {
    host: '127.0.0.1:4511',
    [`${prefix}-date`]: date,
    [`${prefix}-content-sha256`]: hash,
    ...headers,
  };
  const names = Object.keys(all).sort();
  const lines = names.map((name) => `${name}:${all[name]}\n`).join('');
  const sortedQuery = query.split('&').sort().join('&');
  const canonical = [method, path, sortedQuery, lines, names.join(';'), hash].join('\n');
  const credential = `${key.id}/${[date.slice(0, 8), ...tail].join('/')}`;
  const value = `${algorithm} Credential=${credential}, SignedHeaders=${names.join(';')}, Signature=${signature(key, dialect, { canonical, date })}`;
  return { headers: { ...all, authorization: value }, ...(body === undefined ? {} : { body }) };
}

/** A URL signed with an HMAC key. */
function signedUrl(key: Key, path: string, dialect: keyof typeof DIALECTS): string {
  const { algorithm, prefix, tail } = DIALECTS[dialect];
  const name = prefix === 'x-amz' ? 'X-Amz' : 'X-Goog';
  const date = '20261120T080000Z';
  const query = [
    [`${name}-Algorithm`, algorithm],
    [`${name}-Credential`, `${key.id}/${[date.slice(0, 8), ...tail].join('/')}`],
    [`${name}-Date`, date],
    [`${name}-Expires`, '60'],
    [`${name}-SignedHeaders`, 'host'],
  ].map(([field = '', value = '']) => `${field}=${encodeURIComponent(value)}`);
  const canonical = ['GET', path, query.join('&'), 'host:127.0.0.1:4511\n', 'host', 'UNSIGNED-PAYLOAD'].join('\n');
  return `GET ${path}?${query.join('&')}&${name}-Signature=${signature(key, dialect, { canonical, date })}`;
}

const READ = 'GET /bucket-1/a%20b.txt';
const codeOf = (text: string): string | undefined => /<Code>(\w+)<\/Code>/.exec(text)?.[1];

describe.each(['AWS4', 'GOOG4'] as const)('a request signed with an HMAC key, %s', (dialect) => {
  it('reads, writes with metadata, lists and deletes as the account of the key', () => {
    const { cloud, key } = cloudWithKey();
    const { prefix } = DIALECTS[dialect];
    const send = (line: string, wish: Wish = {}) => cloud.ask(line, signed(key, line, { dialect, ...wish }));
    expect(send(READ).text).toBe('text');
    const headers = {
      'content-type': 'text/plain',
      [`${prefix}-meta-k`]: 'v',
      [`${prefix}-storage-class`]: 'NEARLINE',
    };
    expect(send('PUT /bucket-1/new', { body: 'new', headers }).status).toBe(200);
    expect(cloud.ask('GET /storage/v1/b/bucket-1/o/new').json).toMatchObject({
      contentType: 'text/plain',
      metadata: { k: 'v' },
      storageClass: 'NEARLINE',
    });
    expect(send('GET /bucket-1?list-type=2&prefix=n').text).toContain('<Key>new</Key>');
    expect(send('DELETE /bucket-1/new').status).toBe(204);
  });

  it('is refused when anything in it, its body or its secret is not what was signed', () => {
    const { cloud, key } = cloudWithKey();
    const good = signed(key, READ, { dialect });
    const other = signed({ ...key, secret: `${key.secret.slice(0, -1)}!` }, READ, { dialect });
    const stranger = signed({ ...key, id: `${key.id.slice(0, -1)}7` }, READ, { dialect });
    for (const asked of [other, stranger]) {
      const answer = cloud.ask(READ, asked);
      expect([answer.status, codeOf(answer.text)]).toEqual([403, 'SignatureDoesNotMatch']);
    }
    expect(cloud.ask('GET /bucket-1/other', good).status).toBe(403);
    expect(cloud.ask('DELETE /bucket-1/a%20b.txt', good).status).toBe(403);
    expect(
      cloud.ask('PUT /bucket-1/x', { ...signed(key, 'PUT /bucket-1/x', { dialect, body: '1' }), body: '2' }).status,
    ).toBe(400);
    expect(cloud.ask('GET /bucket-1/x').status).toBe(403);
  });

  it('holds for a quarter of an hour, a signed URL for as long as it says', () => {
    const { cloud, key } = cloudWithKey();
    const asked = signed(key, READ, { dialect });
    const url = signedUrl(key, '/bucket-1/a%20b.txt', dialect);
    cloud.clock.advance(59_000);
    expect([cloud.ask(READ, asked).status, cloud.ask(url).text]).toEqual([200, 'text']);
    cloud.clock.advance(1_000);
    expect(codeOf(cloud.ask(url).text)).toBe('ExpiredToken');
    cloud.clock.advance(840_000);
    expect(codeOf(cloud.ask(READ, asked).text)).toBe('ExpiredToken');
    expect(cloud.ask(READ, signed(key, READ, { dialect, date: '20261120T083001Z' })).status).toBe(400);
  });

  it('is refused once the key is inactive or its account may do nothing', () => {
    const { cloud, key } = cloudWithKey([]);
    const denied = cloud.ask(READ, signed(key, READ, { dialect }));
    expect([denied.status, codeOf(denied.text)]).toEqual([403, 'AccessDenied']);
    cloud.ask(`PUT ${KEYS}/${key.id}`, { body: { state: 'INACTIVE' } });
    expect(codeOf(cloud.ask(READ, signed(key, READ, { dialect })).text)).toBe('SignatureDoesNotMatch');
  });

  it('authenticates nobody at the JSON API, and bodies signed in pieces are said not to be modelled', () => {
    const { cloud, key } = cloudWithKey();
    const line = 'GET /storage/v1/b/bucket-1/o/a%20b.txt';
    expect(cloud.ask(line, signed(key, line, { dialect })).status).toBe(401);
    const put = 'PUT /bucket-1/x';
    const hash = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';
    expect(cloud.ask(put, signed(key, put, { dialect, hash, body: 'x' })).status).toBe(501);
  });
});
