import { describe, expect, it } from 'vitest';
import { GCS_RATES } from './rates.ts';
import { testCloud, type TestCloud } from './testing.ts';

const DAY_MS = 86_400_000;
const stranger = { authorization: 'Bearer stranger' };

function withStranger(options: Parameters<typeof testCloud>[0] = {}): TestCloud {
  const cloud = testCloud(options);
  cloud.model.iam.registerToken({ token: 'stranger', email: 'eve@example.com', project: 'elsewhere' });
  return cloud;
}

describe('names of buckets', () => {
  it('are unique over all projects: a stranger\u2019s bucket is a conflict on create and 403 on get', () => {
    const cloud = withStranger();
    expect(
      cloud.ask('POST /storage/v1/b?project=elsewhere', { body: { name: 'taken' }, headers: stranger }).status,
    ).toBe(200);
    const create = cloud.ask('POST /storage/v1/b?project=vibn-local', { body: { name: 'taken' } });
    expect(create.json.error).toMatchObject({ code: 409, errors: [{ reason: 'conflict' }] });
    expect(create.json.error.message).toMatch(/not available/);
    expect(cloud.ask('GET /storage/v1/b/taken').json.error).toMatchObject({
      code: 403,
      errors: [{ reason: 'forbidden' }],
    });
    expect(cloud.ask('DELETE /storage/v1/b/taken').status).toBe(403);
    expect(cloud.ask('GET /storage/v1/b?project=elsewhere').status).toBe(403);
  });

  it('a second project of the same owner gets the stranger\u2019s conflict, yet may read the bucket', () => {
    const cloud = testCloud();
    cloud.bucket('mine');
    const again = cloud.ask('POST /storage/v1/b?project=second', { body: { name: 'mine' } });
    expect(again.json.error.message).toMatch(/not available/);
    expect(cloud.ask('GET /storage/v1/b/mine').status).toBe(200);
  });

  it('are free again after a delete, and the new bucket has another generation', () => {
    const cloud = withStranger();
    cloud.bucket('reborn');
    const first = cloud.ask('GET /storage/v1/b/reborn').json.generation;
    expect(cloud.ask('DELETE /storage/v1/b/reborn').status).toBe(204);
    expect(
      cloud.ask('POST /storage/v1/b?project=elsewhere', { body: { name: 'reborn' }, headers: stranger }).status,
    ).toBe(200);
    expect(cloud.ask('GET /storage/v1/b/reborn', { headers: stranger }).json.generation).not.toBe(first);
    expect(cloud.ask(`POST /storage/v1/b/reborn/restore?generation=${first}`).status).toBe(409);
  });

  it.each(['ab', 'UPPER', 'a_', '-a-b', '192.168.5.4', 'goog-bucket', 'my-g00gle', 'a'.repeat(64), 'a..b', 'a b c'])(
    'refuse %s',
    (name) => {
      expect(testCloud().ask('POST /storage/v1/b?project=vibn-local', { body: { name } }).json.error).toMatchObject({
        code: 400,
        errors: [{ reason: 'invalid' }],
      });
    },
  );

  it('with dots need proof of the domain', () => {
    expect(testCloud().ask('POST /storage/v1/b?project=vibn-local', { body: { name: 'www.example.com' } }).status).toBe(
      403,
    );
  });

  it.each(['a1b', 'vibn-ws-acme', 'a_b-c', 'a'.repeat(63)])('allow %s', (name) => {
    expect(testCloud().ask('POST /storage/v1/b?project=vibn-local', { body: { name } }).status).toBe(200);
  });
});

describe('a bucket', () => {
  it('goes to the provider\u2019s default, outside Canada, if no location is named', () => {
    const cloud = testCloud();
    const made = cloud.ask('POST /storage/v1/b?project=vibn-local', { body: { name: 'abroad' } }).json;
    expect(made).toMatchObject({
      location: 'US',
      locationType: 'multi-region',
      rpo: 'DEFAULT',
      storageClass: 'STANDARD',
    });
    expect(made.iamConfiguration).toEqual({
      bucketPolicyOnly: { enabled: false },
      uniformBucketLevelAccess: { enabled: false },
      publicAccessPrevention: 'inherited',
    });
    expect(made.softDeletePolicy.retentionDurationSeconds).toBe('604800');
  });

  it('keeps uniform access for good after 90 days', () => {
    const cloud = testCloud();
    cloud.bucket('uniform');
    const off = { body: { iamConfiguration: { uniformBucketLevelAccess: { enabled: false } } } };
    expect(cloud.ask('PATCH /storage/v1/b/uniform', off).json.iamConfiguration.bucketPolicyOnly).toEqual({
      enabled: false,
    });
    cloud.ask('PATCH /storage/v1/b/uniform', { body: { iamConfiguration: { bucketPolicyOnly: { enabled: true } } } });
    cloud.clock.advance(90 * DAY_MS);
    expect(cloud.ask('PATCH /storage/v1/b/uniform', off).status).toBe(412);
    expect(cloud.ask('GET /storage/v1/b/uniform').json.iamConfiguration.uniformBucketLevelAccess.enabled).toBe(true);
  });

  it('has object retention only from its creation', () => {
    const cloud = testCloud();
    cloud.ask('POST /storage/v1/b?project=vibn-local&enableObjectRetention=true', { body: { name: 'worm' } });
    expect(cloud.ask('GET /storage/v1/b/worm').json.objectRetention).toEqual({ mode: 'Enabled' });
    cloud.bucket('plain');
    cloud.ask('PATCH /storage/v1/b/plain?enableObjectRetention=true', {
      body: { objectRetention: { mode: 'Enabled' } },
    });
    expect(cloud.ask('GET /storage/v1/b/plain').json.objectRetention).toBeUndefined();
  });

  it('can be restored within its soft-delete time, not after it', () => {
    const cloud = testCloud();
    cloud.bucket('back');
    const { generation } = cloud.ask('GET /storage/v1/b/back').json;
    cloud.ask('DELETE /storage/v1/b/back');
    expect(cloud.ask('GET /storage/v1/b?project=vibn-local&softDeleted=true').json.items[0]).toMatchObject({
      name: 'back',
      hardDeleteTime: '2026-11-27T08:00:00.000Z',
    });
    expect(cloud.ask(`POST /storage/v1/b/back/restore?generation=${generation}`).status).toBe(200);
    cloud.ask('DELETE /storage/v1/b/back');
    cloud.clock.advance(7 * DAY_MS);
    cloud.model.tick();
    expect(cloud.ask(`POST /storage/v1/b/back/restore?generation=${generation}`).status).toBe(404);
  });

  it('answers 304 to a read that already has this metageneration', () => {
    const cloud = testCloud();
    cloud.bucket('seen');
    expect(cloud.ask('GET /storage/v1/b/seen?ifMetagenerationNotMatch=1').status).toBe(304);
    expect(cloud.ask('GET /storage/v1/b/seen?ifMetagenerationMatch=1').status).toBe(200);
    expect(cloud.ask('GET /storage/v1/b/seen?ifMetagenerationMatch=2').status).toBe(412);
  });

  it('loses by PUT what the body leaves out', () => {
    const cloud = testCloud();
    cloud.bucket('put', {
      labels: { a: 'b' },
      lifecycle: { rule: [{ action: { type: 'Delete' }, condition: { age: 1 } }] },
    });
    const answer = cloud.ask('PUT /storage/v1/b/put', { body: { storageClass: 'NEARLINE' } }).json;
    expect(answer).toMatchObject({
      storageClass: 'NEARLINE',
      location: 'NORTHAMERICA-NORTHEAST1',
      metageneration: '2',
    });
    expect([answer.labels, answer.lifecycle]).toEqual([undefined, undefined]);
  });

  it('is listed in pages without a gap', () => {
    const cloud = testCloud();
    for (const name of ['b-1', 'b-3', 'b-2', 'c-1']) cloud.bucket(name);
    const first = cloud.ask('GET /storage/v1/b?project=vibn-local&prefix=b-&maxResults=2').json;
    const second = cloud.ask(
      `GET /storage/v1/b?project=vibn-local&prefix=b-&maxResults=2&pageToken=${first.nextPageToken}`,
    ).json;
    expect([...first.items, ...second.items].map((item) => item.name)).toEqual(['b-1', 'b-2', 'b-3']);
    expect(second.nextPageToken).toBeUndefined();
  });

  it.each<object>([
    { labels: { Upper: 'x' } },
    { labels: { ok: 'NOT' } },
    { storageClass: 'WARM' },
    { softDeletePolicy: { retentionDurationSeconds: '86400' } },
    { retentionPolicy: { retentionPeriod: '0' } },
    { retentionPolicy: { retentionPeriod: '3155760000' } },
    { cors: [{ origin: ['*'], method: ['FETCH'] }] },
    { lifecycle: { rule: [{ action: { type: 'Delete' }, condition: {} }] } },
    { lifecycle: { rule: [{ action: { type: 'AbortIncompleteMultipartUpload' }, condition: { isLive: true } }] } },
    { lifecycle: { rule: [{ action: { type: 'Burn' }, condition: { age: 1 } }] } },
    { location: 'EU' },
    { iamConfiguration: { publicAccessPrevention: 'perhaps' } },
  ])('refuses %j and stays as it was', (patch) => {
    const cloud = testCloud();
    cloud.bucket('strict');
    const before = cloud.ask('GET /storage/v1/b/strict').json;
    expect(cloud.ask('PATCH /storage/v1/b/strict', { body: patch }).json.error).toMatchObject({
      code: 400,
      errors: [{ reason: 'invalid' }],
    });
    expect(cloud.ask('GET /storage/v1/b/strict').json).toEqual(before);
  });
});

describe('rates', () => {
  it('refuse more buckets than the project may make, and recover with time', () => {
    const cloud = testCloud({ rates: GCS_RATES });
    const create = (n: number): number =>
      cloud.ask('POST /storage/v1/b?project=vibn-local', { body: { name: `burst-${n}` } }).status;
    const statuses = Array.from({ length: 12 }, (_, n) => create(n));
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 200), 429, 429]);
    cloud.clock.advance(2_000);
    expect([create(20), create(21)]).toEqual([200, 429]);
  });

  it('refuse more than one change a second of one bucket, others unaffected', () => {
    const cloud = testCloud({ rates: { ...GCS_RATES, bucketUpdate: { perSecond: 1, burst: 1 } } });
    cloud.bucket('hot');
    cloud.bucket('cool');
    const label = (bucket: string, value: string): number =>
      cloud.ask(`PATCH /storage/v1/b/${bucket}`, { body: { labels: { value } } }).status;
    expect([label('hot', 'a'), label('hot', 'b'), label('cool', 'a')]).toEqual([200, 429, 200]);
    expect(
      cloud.ask('PATCH /storage/v1/b/hot', { body: { labels: { value: 'c' } } }).json.error.errors[0],
    ).toMatchObject({ reason: 'rateLimitExceeded', domain: 'usageLimits' });
  });
});
