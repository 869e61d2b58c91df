import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { testCloud, type TestCloud } from './testing.ts';

// Manners of Google's SDKs in Python, Go and Java that differ from Node's, as seen on the wire.

const HOST = '127.0.0.1:4511';

function withObjects(...names: string[]): TestCloud {
  const cloud = testCloud();
  cloud.bucket('bucket-1');
  for (const name of names) cloud.put('bucket-1', name, name);
  return cloud;
}

describe('an SDK of another language', () => {
  it('writes booleans as True, and a word that is none is refused', () => {
    const cloud = withObjects('d/x');
    cloud.put('bucket-1', 'd/');
    const list = (word: string) =>
      cloud.ask(`GET /storage/v1/b/bucket-1/o?delimiter=/&includeTrailingDelimiter=${word}`);
    expect(list('True').json.items).toHaveLength(1);
    expect(list('False').json.items).toBeUndefined();
    expect(list('yes').status).toBe(400);
  });

  it('downloads from mediaLink, which leads to the host that was called', () => {
    const cloud = withObjects('a');
    const expected = expect.stringContaining(`http://${HOST}/download/storage/v1/b/bucket-1/o/a?generation=`);
    const { mediaLink } = cloud.ask('GET /storage/v1/b/bucket-1/o/a').json;
    expect(mediaLink).toEqual(expected);
    expect(cloud.ask('GET /storage/v1/b/bucket-1/o').json.items[0].mediaLink).toEqual(expected);
    const copied = cloud.ask('POST /storage/v1/b/bucket-1/o/a/rewriteTo/b/bucket-1/o/a').json;
    expect(copied.resource.mediaLink).toEqual(expected);
    const line = `GET ${String(copied.resource.mediaLink).slice(`http://${HOST}`.length)}`;
    expect(cloud.ask(line).text).toBe('a');
  });

  it('compresses its JSON, sends PATCH as POST and writes null for what is not set', () => {
    const cloud = testCloud();
    const zipped = (body: object) => ({
      body: gzipSync(JSON.stringify(body)),
      headers: { 'content-encoding': 'gzip', 'x-http-method-override': 'PATCH' },
    });
    const made = { name: 'bucket-1', retentionPolicy: null, labels: { a: '1', b: null } };
    const { headers, body } = zipped(made);
    const created = cloud.ask('POST /storage/v1/b?project=vibn-local', {
      body,
      headers: { 'content-encoding': headers['content-encoding'] },
    });
    expect(created.json).toMatchObject({ labels: { a: '1' }, metageneration: '1' });
    expect(created.json.retentionPolicy).toBeUndefined();
    const patched = cloud.ask('POST /storage/v1/b/bucket-1', zipped({ labels: { a: null, c: '2' } }));
    expect([patched.status, patched.json.labels]).toEqual([200, { c: '2' }]);
  });

  it('continues an upload by POST and is told 308 in a header', () => {
    const cloud = withObjects();
    const upload = '/upload/storage/v1/b/bucket-1/o?uploadType=resumable&name=big';
    const location = cloud.ask(`POST ${upload}`, { body: '{}' }).headers['location'] ?? '';
    const session = location.slice(`http://${HOST}`.length);
    const piece = (range: string, bytes: number) =>
      cloud.ask(`POST ${session}`, {
        body: Buffer.alloc(bytes),
        headers: { 'content-range': `bytes ${range}`, 'x-guploader-no-308': 'yes' },
      });
    const first = piece('0-262143/*', 262_144);
    expect([first.status, first.headers['x-http-status-code-override']]).toEqual([200, '308']);
    expect(first.headers['range']).toBe('bytes=0-262143');
    const last = piece('262144-262144/262145', 1);
    expect([last.status, last.json.size]).toEqual([200, '262145']);
    expect(last.headers['x-http-status-code-override']).toBeUndefined();
  });

  it('moves an object, and nothing is lost when the target is there or the source is protected', () => {
    const cloud = withObjects('a', 'taken');
    const move = (path: string) => cloud.ask(`POST /storage/v1/b/bucket-1/o/${path}`).status;
    expect(move('a/moveTo/o/taken?ifGenerationMatch=0')).toBe(412);
    expect(cloud.ask('PATCH /storage/v1/b/bucket-1/o/a', { body: { temporaryHold: true } }).status).toBe(200);
    expect(move('a/moveTo/o/b')).toBe(403);
    expect(cloud.ask('GET /storage/v1/b/bucket-1/o/b').status).toBe(404);
    cloud.ask('PATCH /storage/v1/b/bucket-1/o/a', { body: { temporaryHold: false, metadata: { k: 'v' } } });
    expect(move('a/moveTo/o/a')).toBe(400);
    expect(move('a/moveTo/o/b')).toBe(200);
    expect(cloud.ask('GET /storage/v1/b/bucket-1/o/b').json.metadata).toEqual({ k: 'v' });
    expect(cloud.ask('GET /storage/v1/b/bucket-1/o/a').status).toBe(404);
  });

  it('takes the last key of metadata away, and the field with it', () => {
    const cloud = withObjects('a');
    const patch = (metadata: object) => cloud.ask('PATCH /storage/v1/b/bucket-1/o/a', { body: { metadata } }).json;
    expect(patch({ k: 'v' }).metadata).toEqual({ k: 'v' });
    expect(patch({ k: null }).metadata).toBeUndefined();
  });

  it('reads with an etag: 304 if it has it already, 412 if it wants another; on writes that is not modelled', () => {
    const cloud = withObjects('a');
    const path = '/storage/v1/b/bucket-1/o/a';
    const { etag } = cloud.ask(`GET ${path}`).json;
    const read = (line: string, headers: Record<string, string>) => cloud.ask(line, { headers }).status;
    expect(read(`GET ${path}`, { 'if-none-match': etag })).toBe(304);
    expect(read(`GET ${path}`, { 'if-none-match': 'other' })).toBe(200);
    expect(read(`GET ${path}`, { 'if-match': 'other' })).toBe(412);
    expect(read('GET /storage/v1/b/bucket-1', { 'if-none-match': '*' })).toBe(304);
    const media = cloud.ask(`GET ${path}?alt=media`).headers['etag'] ?? '';
    expect(read(`GET ${path}?alt=media`, { 'if-none-match': `"x", ${media}` })).toBe(304);
    expect(read(`DELETE ${path}`, { 'if-match': 'other' })).toBe(501);
    expect(cloud.ask(`GET ${path}`).status).toBe(200);
  });

  it('finds the namespace of multipart answers and the checksum of each part', () => {
    const cloud = withObjects();
    cloud.ask('PUT /storage/v1/b/bucket-1/iam', {
      body: { bindings: [{ role: 'roles/storage.objectAdmin', members: ['allUsers'] }] },
    });
    const begun = cloud.ask('POST /bucket-1/o?uploads');
    expect(begun.text).toContain("<InitiateMultipartUploadResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>");
    const id = /<UploadId>([^<]+)</.exec(begun.text)?.[1];
    const part = cloud.ask(`PUT /bucket-1/o?partNumber=1&uploadId=${id}`, { body: 'hello' });
    expect(part.headers['x-goog-hash']).toBe('crc32c=mnG7TA==,md5=XUFAKrxLKna5cZ2REBfFkg==');
  });
});

describe('a batch', () => {
  const call = (id: string, line: string, body = '') =>
    `--b\r\nContent-ID: <x+${id}>\n\n${line}\r\nA: b\r\n\r\n${body}\r\n`;
  const send = (cloud: TestCloud, calls: string, contentType = 'multipart/mixed; boundary="b"') =>
    cloud.ask('POST /batch/storage/v1', { body: `${calls}--b--`, headers: { 'content-type': contentType } });

  it('answers each call by itself, in order, with its id', () => {
    const cloud = withObjects('a', 'b');
    const answer = send(
      cloud,
      call('1', `DELETE http://${HOST}/storage/v1/b/bucket-1/o/a HTTP/1.1`) +
        call('2', 'DELETE /storage/v1/b/bucket-1/o/none HTTP/1.1') +
        call('3', 'PATCH /storage/v1/b/bucket-1/o/b HTTP/1.1', '{"metadata":{"k":"v"}}'),
    );
    expect(answer.status).toBe(200);
    expect(answer.text.match(/<response-x\+\d>|HTTP\/1\.1 \d+ [\w ]+/g)).toEqual([
      '<response-x+1>',
      'HTTP/1.1 204 No Content',
      '<response-x+2>',
      'HTTP/1.1 404 Not Found',
      '<response-x+3>',
      'HTTP/1.1 200 OK',
    ]);
    expect(cloud.ask('GET /storage/v1/b/bucket-1/o').json.items).toMatchObject([{ name: 'b', metadata: { k: 'v' } }]);
  });

  it('is struck by faults of single calls: a lost one loses the whole answer', () => {
    const cloud = withObjects('a', 'b');
    cloud.faults.add({ provider: 'gcs', op: 'objects.delete', fault: 'lose-reply', times: 1 });
    const calls = call('1', 'DELETE /storage/v1/b/bucket-1/o/a') + call('2', 'DELETE /storage/v1/b/bucket-1/o/b');
    expect(() => send(cloud, calls)).toThrow('no reply came');
    expect(cloud.ask('GET /storage/v1/b/bucket-1/o').json.items).toBeUndefined();
  });

  it('of another type, of no call or of more than 100 is refused', () => {
    const cloud = withObjects();
    const one = call('1', 'GET /storage/v1/b/bucket-1');
    expect(send(cloud, one, 'multipart/related; boundary=b').status).toBe(400);
    expect(send(cloud, '').status).toBe(400);
    expect(send(cloud, call('1', 'nonsense')).status).toBe(400);
    expect(send(cloud, one.repeat(101)).json.error.message).toContain('this one has 101');
  });
});

describe('what is not modelled', () => {
  it('is refused as such: never answered as if it were missing, nor as if it were done', () => {
    const cloud = withObjects('a');
    cloud.ask('POST /storage/v1/b?project=vibn-local', { body: { name: 'lists-1' } });
    const status = (line: string, headers: Record<string, string> = {}) => cloud.ask(line, { headers }).status;
    expect(status('GET /storage/v1/b/bucket-1/acl')).toBe(400); // uniform access: as at the provider
    expect(status('GET /storage/v1/b/bucket-1/o/a/acl/allUsers')).toBe(400);
    expect(status('GET /storage/v1/b/none/acl')).toBe(404);
    expect(status('GET /storage/v1/b/lists-1/defaultObjectAcl')).toBe(501);
    expect(status('POST /upload/storage/v1/b/lists-1/o?uploadType=media&name=x&predefinedAcl=publicRead')).toBe(501);
    expect(status('POST /upload/storage/v1/b/bucket-1/o?uploadType=media&name=x&predefinedAcl=publicRead')).toBe(400);
    expect(status('GET /storage/v1/b/bucket-1/notificationConfigs')).toBe(501);
    expect(status('GET /storage/v1/b/bucket-1/o?matchGlob=a*')).toBe(501);
    expect(status('GET /storage/v1/b/bucket-1/o?matchGlob=')).toBe(200);
    expect(status('GET /storage/v1/b/bucket-1/o/a', { 'x-goog-encryption-key': 'k' })).toBe(501);
    expect(status('GET /bucket-1/a', { authorization: 'AWS GOOG1E:c2lnbmF0dXJl' })).toBe(501);
    expect(status('PUT /bucket-1/b', { 'x-amz-copy-source': '/bucket-1/a' })).toBe(501);
    expect(status('POST /bucket-1/')).toBe(501); // a form upload
    expect(cloud.ask('GET /').text).toMatch(/<Code>NotImplemented<\/Code>.*listing buckets/);
    expect(cloud.ask('GET /bucket-1/a?GoogleAccessId=x&Expires=1&Signature=y').text).toContain("version 'v4'");
  });
});

describe('a URL signed elsewhere', () => {
  it('may have been signed with the port of the host, and its signature is whole or nothing', () => {
    const cloud = withObjects('a');
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const email = 'signer@vibn-local.iam.gserviceaccount.com';
    cloud.model.registerServiceAccountKey({ email, publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }) });
    const scope = '20261120/auto/storage/goog4_request';
    const query = Object.entries({
      'X-Goog-Algorithm': 'GOOG4-RSA-SHA256',
      'X-Goog-Credential': `${email}/${scope}`,
      'X-Goog-Date': '20261120T080000Z',
      'X-Goog-Expires': '600',
      'X-Goog-SignedHeaders': 'host',
    })
      .map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
      .join('&');
    const line = (host: string): string => {
      const canonical = ['GET', '/bucket-1/a', query, `host:${host}\n`, 'host', 'UNSIGNED-PAYLOAD'].join('\n');
      const hash = createHash('sha256').update(canonical).digest('hex');
      const toSign = ['GOOG4-RSA-SHA256', '20261120T080000Z', scope, hash].join('\n');
      return `GET /bucket-1/a?${query}&X-Goog-Signature=${sign('RSA-SHA256', Buffer.from(toSign), privateKey).toString('hex')}`;
    };
    expect(cloud.ask(line(HOST)).text).toBe('a');
    expect(cloud.ask(line('127.0.0.1')).text).toBe('a');
    expect(cloud.ask(line('127.0.0.1:1')).status).toBe(403);
    expect(cloud.ask(`${line(HOST)}x`).status).toBe(400);
  });
});
