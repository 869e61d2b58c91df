import { describe, expect, it } from 'vitest';
import { seededRng } from '#hack/cloud/clock.ts';
import { testCloud } from './testing.ts';

const CREATE = 'POST /storage/v1/b?project=vibn-local';
const body = { name: 'bucket-1', location: 'northamerica-northeast1' };

describe('faults at the door of Cloud Storage', () => {
  it.each([
    ['refuse', 503, 'backendError'],
    ['throttle', 429, 'rateLimitExceeded'],
  ])('%s answers %i and has no effect', (fault, status, reason) => {
    const cloud = testCloud();
    cloud.faults.add({ provider: 'gcs', op: 'buckets.insert', fault, times: 1 });
    const answer = cloud.ask(CREATE, { body });
    expect([answer.status, answer.json.error.errors[0].reason]).toEqual([status, reason]);
    expect(cloud.ask('GET /storage/v1/b/bucket-1').status).toBe(404);
    expect(cloud.calls.since().calls[0]).toMatchObject({
      op: 'buckets.insert',
      name: 'bucket-1',
      outcome: `fault:${fault}`,
    });
  });

  it.each([
    ['lose-request', 404],
    ['lose-reply', 200],
  ])('%s gives no reply, and a later look finds %i', (fault, later) => {
    const cloud = testCloud();
    cloud.faults.add({ provider: 'gcs', op: 'buckets.insert', fault, times: 1 });
    expect(cloud.deliver(CREATE, { body })).toEqual({ kind: 'lost' });
    expect(cloud.ask('GET /storage/v1/b/bucket-1').status).toBe(later);
  });

  it('late lands after the caller gave up, and the log shows both moments', () => {
    const cloud = testCloud();
    cloud.faults.add({ provider: 'gcs', fault: 'late', times: 1, delayMs: 9_000 });
    expect(cloud.deliver(CREATE, { body })).toEqual({ kind: 'lost' });
    expect(cloud.ask('GET /storage/v1/b/bucket-1').status).toBe(404);
    cloud.runLate();
    expect(cloud.ask('GET /storage/v1/b/bucket-1').status).toBe(200);
    expect(cloud.calls.since().calls.map((call) => call.outcome)).toEqual(['fault:late', 'error:404', 'late:ok', 'ok']);
  });

  it('slow has its effect at once and says how long the reply takes', () => {
    const cloud = testCloud();
    cloud.faults.add({ provider: 'gcs', op: 'buckets.insert', fault: 'slow', delayMs: 70 });
    expect(cloud.deliver(CREATE, { body })).toMatchObject({ kind: 'reply', delayMs: 70, response: { status: 200 } });
  });

  it('false-empty hides buckets and objects that are there', () => {
    const cloud = testCloud();
    cloud.bucket('bucket-1');
    cloud.put('bucket-1', 'a');
    const { id } = cloud.faults.add({ provider: 'gcs', fault: 'false-empty' });
    expect(cloud.ask('GET /storage/v1/b/bucket-1').status).toBe(404);
    expect(cloud.ask('GET /storage/v1/b/bucket-1/o').json).toEqual({ kind: 'storage#objects' });
    expect(cloud.ask('GET /bucket-1').text).toMatch(
      /<ListBucketResult [^>]*><Name>bucket-1<\/Name><\/ListBucketResult>$/,
    );
    expect(cloud.ask('PATCH /storage/v1/b/bucket-1', { body: { labels: { a: 'b' } } }).status).toBe(200);
    expect(cloud.faults.fired(id)).toBe(3);
  });

  it('stale answers reads as of a moment ago and leaves the present alone', () => {
    const cloud = testCloud();
    cloud.bucket('bucket-1');
    cloud.clock.advance(10_000);
    cloud.ask('PATCH /storage/v1/b/bucket-1', { body: { labels: { a: 'b' } } });
    cloud.faults.add({ provider: 'gcs', op: 'buckets.get', fault: 'stale', delayMs: 2_000, times: 1 });
    expect(cloud.ask('GET /storage/v1/b/bucket-1').json.labels).toBeUndefined();
    expect(cloud.ask('GET /storage/v1/b/bucket-1').json.labels).toEqual({ a: 'b' });
  });
});

describe('the in-process door', () => {
  it('answers a repeated idempotency token from memory, without a second effect', () => {
    const cloud = testCloud();
    const headers = { 'x-goog-gcs-idempotency-token': 'token-1' };
    expect(cloud.ask(CREATE, { body, headers }).status).toBe(200);
    expect(cloud.ask(CREATE, { body, headers }).status).toBe(200);
    expect(cloud.ask(CREATE, { body, headers: { 'x-goog-gcs-idempotency-token': 'token-2' } }).status).toBe(409);
    cloud.clock.advance(600_001);
    expect(cloud.ask(CREATE, { body, headers }).status).toBe(409);
  });

  it.each(['GET /storage/v1/nothing', 'POST /storage/v1/b/x/y/z'])(
    'answers 404 on a path that is not there: %s',
    (line) => {
      expect(testCloud().ask(line).json.error).toMatchObject({
        code: 404,
        errors: [{ reason: 'notFound', domain: 'global' }],
      });
    },
  );

  it('refuses a body that is not JSON as a parse error', () => {
    expect(testCloud().ask(CREATE, { body: '{"name":' }).json.error).toMatchObject({
      code: 400,
      errors: [{ reason: 'parseError' }],
    });
  });

  it('does the same again with the same seed and clock, faults included', () => {
    const run = (seed: number): string => {
      const cloud = testCloud({ rng: seededRng(seed) });
      cloud.faults.add({ provider: 'gcs', fault: 'lose-reply', probability: 0.4, seed });
      for (let n = 0; n < 20; n += 1) cloud.deliver(CREATE, { body: { ...body, name: `bucket-${n % 7}` } });
      cloud.deliver('POST /upload/storage/v1/b/bucket-1/o?uploadType=resumable&name=a');
      return JSON.stringify([cloud.model.toSnapshot(), cloud.calls.since()]);
    };
    expect(run(3)).toBe(run(3));
    expect(run(3)).not.toBe(run(4));
  });

  it('comes back the same from a snapshot, bytes included', () => {
    const before = testCloud();
    before.bucket('bucket-1', { versioning: { enabled: true } });
    before.put('bucket-1', 'a', 'old');
    before.put('bucket-1', 'a', '\u0000\u00ff bytes');
    const snapshot = JSON.parse(JSON.stringify(before.model.toSnapshot())) as ReturnType<
      typeof before.model.toSnapshot
    >;
    const after = testCloud();
    after.model.fromSnapshot(snapshot);
    expect(after.ask('GET /storage/v1/b/bucket-1').json).toEqual(before.ask('GET /storage/v1/b/bucket-1').json);
    expect(after.ask('GET /storage/v1/b/bucket-1/o?versions=true').json).toEqual(
      before.ask('GET /storage/v1/b/bucket-1/o?versions=true').json,
    );
    expect(after.ask('GET /storage/v1/b/bucket-1/o/a?alt=media').text).toBe('\u0000\u00ff bytes');
    const known = after.ask('GET /storage/v1/b/bucket-1/o/a').json.generation;
    expect(BigInt(after.put('bucket-1', 'b').generation) > BigInt(known)).toBe(true);
  });
});
