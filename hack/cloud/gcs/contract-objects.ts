// The contract on objects, uploads and object URLs.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  assertWords,
  refused,
  withBucket,
  type ContractCase,
  type ContractTarget,
  type Scene,
} from './contract-kit.ts';

export function objectCases(target: ContractTarget): ContractCase[] {
  return [
    withBucket(target, 'save() by multipart reads back bytes, checksums and metadata', {
      play: multipartSave,
      needs: ['object-metadata'],
    }),
    withBucket(target, 'save() by a resumable session reads back the same bytes', resumableSave),
    withBucket(target, 'an empty object has a size, of 0', { play: emptySave, needs: ['empty-objects'] }),
    withBucket(target, 'a stream in chunks of 256 KiB arrives whole', chunkedStream),
    withBucket(target, 'an upload session says how far it got, refuses small pieces and can be cancelled', {
      play: sessionProtocol,
      needs: ['upload-sessions'],
    }),
    withBucket(target, 'a range reads part of an object', { play: rangeRead, needs: ['ranges'] }),
    withBucket(target, 'ifGenerationMatch 0 writes only where nothing is', createOnly),
    withBucket(target, 'a read is 304 or 412 by the generation it names, and a delete takes only that one', {
      play: generationConditions,
      needs: ['generation-conditions'],
    }),
    withBucket(target, 'a missing object is 404 with its path', missingObject),
    withBucket(target, 'an overwritten version stays readable by its generation in a versioned bucket', {
      play: versionsStay,
      needs: ['versions'],
      wishes: { versioning: { enabled: true } },
    }),
    withBucket(target, 'copy and combine write new objects with correct checksums', {
      play: copies,
      needs: ['copies'],
    }),
    withBucket(target, 'an object URL is refused to strangers and served once allUsers may view', {
      play: publicUrl,
      needs: ['iam-policies', 'public-urls'],
    }),
  ];
}

async function multipartSave({ bucket }: Scene): Promise<void> {
  const file = bucket.file('dir/o ä.txt');
  await file.save('hello', { resumable: false, metadata: { contentType: 'text/plain', metadata: { k: 'v' } } });
  const [metadata] = await file.getMetadata();
  assert.equal(metadata.size, '5');
  assert.equal(metadata.crc32c, 'mnG7TA==');
  assert.equal(metadata.md5Hash, createHash('md5').update('hello').digest('base64'));
  assert.equal(metadata.contentType, 'text/plain');
  assert.deepEqual(metadata.metadata, { k: 'v' });
  const [bytes] = await file.download();
  assert.equal(bytes.toString(), 'hello');
  const [patched] = await file.setMetadata({ cacheControl: 'no-store', metadata: { k: null } });
  assert.equal(patched.metageneration, '2');
  assert.equal(patched.cacheControl, 'no-store');
}

async function resumableSave({ bucket }: Scene): Promise<void> {
  const content = Buffer.alloc(300_000, 'ab');
  const file = bucket.file('big');
  await file.save(content, { resumable: true, validation: 'crc32c' });
  const [bytes] = await file.download();
  assert.ok(bytes.equals(content));
}

async function emptySave({ bucket }: Scene): Promise<void> {
  await bucket.file('empty').save('', { resumable: true });
  assert.equal((await bucket.file('empty').getMetadata())[0].size, '0');
}

async function chunkedStream({ bucket }: Scene): Promise<void> {
  const content = Buffer.alloc(700_000, 'xyz');
  const file = bucket.file('chunked');
  await pipeline(
    Readable.from([content.subarray(0, 400_000), content.subarray(400_000)]),
    file.createWriteStream({ chunkSize: 262_144, metadata: { contentType: 'application/gzip' } }),
  );
  const [bytes] = await file.download();
  assert.ok(bytes.equals(content));
}

async function sessionProtocol({ bucket }: Scene): Promise<void> {
  const file = bucket.file('session');
  const [uri] = await file.createResumableUpload();
  const put = (range: string, body?: Buffer): Promise<Response> =>
    fetch(uri, {
      method: 'PUT',
      headers: { 'content-range': range },
      body: body === undefined ? null : new Uint8Array(body),
    });
  const nothing = await put('bytes */*');
  assert.equal(nothing.status, 308);
  assert.equal(nothing.headers.get('range'), null);
  assert.equal((await put('bytes 0-99/*', Buffer.alloc(100))).status, 400);
  const piece = await put('bytes 0-262143/*', Buffer.alloc(262_144, 1));
  assert.equal(piece.status, 308);
  assert.equal((await put('bytes */*')).headers.get('range'), 'bytes=0-262143');
  const last = await put('bytes 262144-262145/262146', Buffer.from('ok'));
  assert.equal(last.status, 200);
  assert.equal(((await last.json()) as { size: string }).size, '262146');
  assert.equal((await put('bytes */262146')).status, 200);
  const [other] = await bucket.file('cancelled').createResumableUpload();
  assert.equal((await fetch(other, { method: 'DELETE' })).status, 499);
  assert.deepEqual(await bucket.file('cancelled').exists(), [false]);
}

async function rangeRead({ bucket }: Scene): Promise<void> {
  const file = bucket.file('range');
  await file.save('0123456789', { resumable: false });
  const [bytes] = await file.download({ start: 2, end: 4 });
  assert.equal(bytes.toString(), '234');
  await refused(file.download({ start: 20 }), 416);
}

async function createOnly({ bucket, target }: Scene): Promise<void> {
  const file = bucket.file('once');
  await file.save('1', { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } });
  const error = await refused(file.save('2', { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } }), 412);
  assertWords(target, error, { reason: 'conditionNotMet' });
  const [bytes] = await file.download();
  assert.equal(bytes.toString(), '1');
}

async function generationConditions({ bucket }: Scene): Promise<void> {
  const file = bucket.file('conditions');
  await file.save('1', { resumable: false });
  const generation = String((await file.getMetadata())[0].generation);
  await refused(bucket.file('conditions').getMetadata({ ifGenerationNotMatch: generation } as object), 304);
  await refused(bucket.file('conditions').getMetadata({ ifGenerationMatch: '7' } as object), 412);
  await refused(file.delete({ ifGenerationMatch: '7' }), 412);
  await refused(bucket.file('conditions', { generation: '7' }).delete(), 404);
  await file.save('2', { resumable: false, preconditionOpts: { ifGenerationMatch: Number(generation) } });
  assert.notEqual(String((await file.getMetadata())[0].generation), generation);
}

async function missingObject({ bucket, target }: Scene): Promise<void> {
  const error = await refused(bucket.file('none').getMetadata(), 404);
  assertWords(target, error, { message: new RegExp(`No such object: ${bucket.name}/none`) });
  await refused(bucket.file('none').delete(), 404);
}

async function versionsStay({ bucket }: Scene): Promise<void> {
  const file = bucket.file('v');
  await file.save('old', { resumable: false });
  const { generation } = (await file.getMetadata())[0];
  await file.save('new', { resumable: false });
  const [old] = await bucket.file('v', { generation: String(generation) }).download();
  assert.equal(old.toString(), 'old');
  const [versions] = await bucket.getFiles({ versions: true });
  assert.equal(versions.length, 2);
  assert.ok(versions[0]?.metadata.timeDeleted);
}

async function copies({ bucket }: Scene): Promise<void> {
  await bucket.file('a').save('one', { resumable: false, contentType: 'text/plain' });
  await bucket.file('b').save('two', { resumable: false });
  await bucket.file('a').copy(bucket.file('copy'));
  assert.equal((await bucket.file('copy').getMetadata())[0].contentType, 'text/plain');
  await bucket.combine(['a', 'b'], 'ab');
  const [metadata] = await bucket.file('ab').getMetadata();
  assert.equal(metadata.componentCount, 2);
  assert.equal(metadata.md5Hash, undefined);
  assert.equal((await bucket.file('ab').download())[0].toString(), 'onetwo');
}

async function publicUrl({ bucket, target }: Scene): Promise<void> {
  await bucket.file('p/page.html').save('<p>', { resumable: false, contentType: 'text/html' });
  const url = `${target.endpoint}/${bucket.name}/p/page.html`;
  const stranger = await fetch(url);
  assert.equal(stranger.status, 403);
  assert.match(await stranger.text(), /<Code>AccessDenied<\/Code>/);
  const [policy] = await bucket.iam.getPolicy({ requestedPolicyVersion: 3 });
  policy.bindings.push({ role: 'roles/storage.objectViewer', members: ['allUsers'] });
  await bucket.iam.setPolicy(policy);
  const open = await fetch(url);
  assert.deepEqual([open.status, open.headers.get('content-type'), await open.text()], [200, 'text/html', '<p>']);
  assert.equal((await fetch(url, { method: 'PUT', body: 'no' })).status, 403);
}
