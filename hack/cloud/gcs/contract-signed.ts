// The contract on V4 signed URLs and on the preflights of the browsers that use them.

import assert from 'node:assert/strict';
import { withBucket, type ContractCase, type ContractTarget, type Scene } from './contract-kit.ts';

export function signedUrlCases(target: ContractTarget): ContractCase[] {
  return [
    withBucket(target, 'a signed read serves the object without credentials', signedRead),
    withBucket(target, 'a signed write takes exactly the signed content type', signedWrite),
    withBucket(target, 'a signed length range refuses larger bodies', lengthRange),
    withBucket(target, 'a signed create-only write does not overwrite', createOnly),
    withBucket(target, 'a signed POST opens a resumable session', resumable),
    withBucket(target, 'a changed path, method or signature is refused', tampered),
  ];
}

/** Needs no signature: a preflight has none. */
export function preflightCases(target: ContractTarget): ContractCase[] {
  return [
    withBucket(target, 'a browser\u2019s preflight is answered by the bucket\u2019s CORS rules', {
      play: preflight,
      needs: ['cors'],
      wishes: {
        cors: [
          { origin: ['https://app.example'], method: ['PUT'], responseHeader: ['Content-Type'], maxAgeSeconds: 60 },
        ],
      },
    }),
  ];
}

const inTenMinutes = (): number => Date.now() + 600_000;

async function codeOf(response: Response): Promise<string | undefined> {
  return /<Code>(\w+)<\/Code>/.exec(await response.text())?.[1];
}

async function signedRead({ bucket }: Scene): Promise<void> {
  const file = bucket.file('dir/a b.txt');
  await file.save('secret', { resumable: false });
  const [url] = await file.getSignedUrl({ version: 'v4', action: 'read', expires: inTenMinutes() });
  const response = await fetch(url);
  assert.deepEqual([response.status, await response.text()], [200, 'secret']);
}

async function signedWrite({ bucket }: Scene): Promise<void> {
  const file = bucket.file('up.png');
  const [url] = await file.getSignedUrl({
    version: 'v4',
    action: 'write',
    expires: inTenMinutes(),
    contentType: 'image/png',
  });
  const wrong = await fetch(url, { method: 'PUT', headers: { 'content-type': 'text/html' }, body: 'x' });
  assert.deepEqual([wrong.status, await codeOf(wrong)], [403, 'SignatureDoesNotMatch']);
  const none = await fetch(url, { method: 'PUT', body: new Uint8Array([1]) });
  assert.deepEqual([none.status, await codeOf(none)], [400, 'MalformedSecurityHeader']);
  const right = await fetch(url, { method: 'PUT', headers: { 'content-type': 'image/png' }, body: 'png' });
  assert.equal(right.status, 200);
  assert.equal((await file.getMetadata())[0].contentType, 'image/png');
}

async function lengthRange({ bucket }: Scene): Promise<void> {
  const extensionHeaders = { 'x-goog-content-length-range': '0,4' };
  const file = bucket.file('small');
  const [url] = await file.getSignedUrl({
    version: 'v4',
    action: 'write',
    expires: inTenMinutes(),
    contentType: 'text/plain',
    extensionHeaders,
  });
  const headers = { 'content-type': 'text/plain', ...extensionHeaders };
  const large = await fetch(url, { method: 'PUT', headers, body: '12345' });
  assert.deepEqual([large.status, await codeOf(large)], [400, 'EntityTooLarge']);
  assert.equal((await fetch(url, { method: 'PUT', headers, body: '1234' })).status, 200);
}

async function createOnly({ bucket }: Scene): Promise<void> {
  const extensionHeaders = { 'x-goog-if-generation-match': '0' };
  const [url] = await bucket.file('new').getSignedUrl({
    version: 'v4',
    action: 'write',
    expires: inTenMinutes(),
    contentType: 'text/plain',
    extensionHeaders,
  });
  const headers = { 'content-type': 'text/plain', ...extensionHeaders };
  assert.equal((await fetch(url, { method: 'PUT', headers, body: '1' })).status, 200);
  assert.equal((await fetch(url, { method: 'PUT', headers, body: '2' })).status, 412);
}

async function resumable({ bucket }: Scene): Promise<void> {
  const file = bucket.file('session');
  const [url] = await file.getSignedUrl({
    version: 'v4',
    action: 'resumable',
    expires: inTenMinutes(),
    contentType: 'text/plain',
  });
  const begun = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'text/plain', 'x-goog-resumable': 'start' },
  });
  assert.equal(begun.status, 201);
  const put = await fetch(String(begun.headers.get('location')), { method: 'PUT', body: 'whole' });
  assert.equal(put.status, 200);
  assert.equal((await file.download())[0].toString(), 'whole');
}

async function tampered({ bucket }: Scene): Promise<void> {
  await bucket.file('a').save('a', { resumable: false });
  await bucket.file('b').save('b', { resumable: false });
  const [url] = await bucket.file('a').getSignedUrl({ version: 'v4', action: 'read', expires: inTenMinutes() });
  assert.equal((await fetch(url.replace(`/${bucket.name}/a?`, `/${bucket.name}/b?`))).status, 403);
  assert.equal((await fetch(url, { method: 'DELETE' })).status, 403);
  assert.equal((await fetch(`${url.slice(0, -4)}0000`)).status, 403);
  assert.equal((await fetch(url.replace('X-Goog-Expires=', 'X-Goog-Expires=9'))).status >= 400, true);
  assert.deepEqual(await bucket.file('a').exists(), [true]);
}

async function preflight({ bucket, target }: Scene): Promise<void> {
  const ask = (origin: string): Promise<Response> =>
    fetch(`${target.endpoint}/${bucket.name}/any`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'PUT', 'access-control-request-headers': 'content-type' },
    });
  const allowed = await ask('https://app.example');
  assert.equal(allowed.headers.get('access-control-allow-origin'), 'https://app.example');
  assert.equal(allowed.headers.get('access-control-allow-headers'), 'content-type');
  assert.equal((await ask('https://evil.example')).headers.get('access-control-allow-origin'), null);
}
