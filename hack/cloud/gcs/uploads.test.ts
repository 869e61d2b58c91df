import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { testCloud, type Answer, type TestCloud } from './testing.ts';

const DAY_MS = 86_400_000;

function begin(cloud: TestCloud, query = ''): string {
  const answer = cloud.ask(`POST /upload/storage/v1/b/bucket-1/o?uploadType=resumable&name=big${query}`, {
    body: { contentType: 'text/plain' },
  });
  const url = new URL(answer.headers['location'] ?? '');
  expect(url.host).toBe('127.0.0.1:4511');
  return url.pathname + url.search;
}

function cloudWithBucket(): TestCloud {
  const cloud = testCloud();
  cloud.bucket('bucket-1');
  return cloud;
}

describe('resumable uploads', () => {
  const send = (cloud: TestCloud, session: string, piece: { range?: string; body?: Buffer | string }): Answer =>
    cloud.ask(`PUT ${session}`, {
      body: piece.body ?? '',
      headers: piece.range === undefined ? {} : { 'content-range': piece.range },
    });

  it('keep whole multiples of 256 KiB of a piece and say where to go on', () => {
    const cloud = cloudWithBucket();
    const session = begin(cloud);
    const first = send(cloud, session, { range: 'bytes 0-299999/*', body: Buffer.alloc(300_000, 'a') });
    expect([first.status, first.headers['range']]).toEqual([308, 'bytes=0-262143']);
    const last = send(cloud, session, { range: 'bytes 262144-300009/300010', body: Buffer.alloc(37_866, 'b') });
    expect(last.json).toMatchObject({ name: 'big', size: '300010', contentType: 'text/plain' });
  });

  it('take the overlap of a repeated piece once', () => {
    const cloud = cloudWithBucket();
    const session = begin(cloud);
    send(cloud, session, { range: 'bytes 0-262143/*', body: Buffer.alloc(262_144, 'a') });
    send(cloud, session, {
      range: 'bytes 0-524287/*',
      body: Buffer.concat([Buffer.alloc(262_144, 'a'), Buffer.alloc(262_144, 'b')]),
    });
    expect(send(cloud, session, { range: 'bytes */524288' }).json.size).toBe('524288');
  });

  it('answer the finished object again to a status query after a lost reply', () => {
    const cloud = cloudWithBucket();
    const session = begin(cloud);
    cloud.faults.add({ provider: 'gcs', op: 'objects.insert', fault: 'lose-reply', times: 1 });
    expect(cloud.deliver(`PUT ${session}`, { body: 'whole' })).toEqual({ kind: 'lost' });
    const again = send(cloud, session, { range: 'bytes */*' });
    expect([again.status, again.json.size]).toEqual([200, '5']);
    expect(cloud.ask('GET /storage/v1/b/bucket-1/o?versions=true').json.items).toHaveLength(1);
  });

  it.each([
    ['bytes 100-200/*', Buffer.alloc(101), 400],
    ['bytes rubbish', Buffer.alloc(1), 400],
    ['bytes 0-9/5', Buffer.alloc(10), 400],
  ])('refuse the piece %s', (range, body, status) => {
    const cloud = cloudWithBucket();
    expect(send(cloud, begin(cloud), { range, body }).status).toBe(status);
  });

  it('check their precondition again when the last byte arrives', () => {
    const cloud = cloudWithBucket();
    const session = begin(cloud, '&ifGenerationMatch=0');
    cloud.put('bucket-1', 'big', 'someone was faster');
    expect(send(cloud, session, { body: 'late' }).status).toBe(412);
  });

  it('are gone after a cancel and after a week', () => {
    const cloud = cloudWithBucket();
    const cancelled = begin(cloud);
    expect(cloud.ask(`DELETE ${cancelled}`).status).toBe(499);
    expect(send(cloud, cancelled, { range: 'bytes */*' }).status).toBe(499);
    const forgotten = begin(cloud);
    send(cloud, forgotten, { range: 'bytes 0-262143/*', body: Buffer.alloc(262_144) });
    cloud.clock.advance(7 * DAY_MS);
    cloud.model.tick();
    expect(send(cloud, forgotten, { range: 'bytes */*' }).status).toBe(404);
    expect(cloud.model.context.tables.parts.size).toBe(0);
  });
});

describe('XML multipart uploads', () => {
  const headers = { authorization: 'Bearer owner' };
  const PART = Buffer.alloc(5 * 1_024 * 1_024, 'p');

  function prepared(): { cloud: TestCloud; id: string } {
    const cloud = cloudWithBucket();
    cloud.model.iam.registerToken({ token: 'owner', email: 'me@example.com', project: 'vibn-local' });
    const id = /<UploadId>(\w+)</.exec(cloud.ask('POST /bucket-1/big?uploads', { headers }).text)?.[1] ?? '';
    return { cloud, id };
  }

  const put = (cloud: TestCloud, id: string, part: { number: number; bytes: Buffer }): string =>
    cloud.ask(`PUT /bucket-1/big?partNumber=${part.number}&uploadId=${id}`, { headers, body: part.bytes }).headers[
      'etag'
    ] ?? '';
  const finish = (cloud: TestCloud, id: string, parts: [number, string][]): Answer => {
    const list = parts
      .map(([number, etag]) => `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`)
      .join('');
    return cloud.ask(`POST /bucket-1/big?uploadId=${id}`, {
      headers,
      body: `<CompleteMultipartUpload>${list}</CompleteMultipartUpload>`,
    });
  };

  it('join their parts in order', () => {
    const { cloud, id } = prepared();
    const second = put(cloud, id, { number: 2, bytes: Buffer.from('end') });
    const first = put(cloud, id, { number: 1, bytes: PART });
    expect(first).toBe(`"${createHash('md5').update(PART).digest('hex')}"`);
    expect(
      finish(cloud, id, [
        [1, first],
        [2, second],
      ]).status,
    ).toBe(200);
    expect(cloud.ask('GET /storage/v1/b/bucket-1/o/big').json.size).toBe(String(PART.length + 3));
    expect(finish(cloud, id, [[1, first]]).status).toBe(404);
  });

  it('refuse unknown parts, wrong order and small ones before the last, and can be aborted', () => {
    const { cloud, id } = prepared();
    const small = put(cloud, id, { number: 1, bytes: Buffer.from('small') });
    const next = put(cloud, id, { number: 2, bytes: Buffer.from('next') });
    expect(finish(cloud, id, [[3, small]]).text).toContain('InvalidPart');
    expect(
      finish(cloud, id, [
        [2, next],
        [1, small],
      ]).status,
    ).toBe(400);
    expect(
      finish(cloud, id, [
        [1, small],
        [2, next],
      ]).status,
    ).toBe(400);
    expect(cloud.ask(`DELETE /bucket-1/big?uploadId=${id}`).status).toBe(403);
    expect(cloud.ask(`DELETE /bucket-1/big?uploadId=${id}`, { headers }).status).toBe(204);
    expect(cloud.model.context.tables.parts.size).toBe(0);
  });
});
