import { describe, expect, it } from 'vitest';
import { testCloud, type TestCloud } from './testing.ts';

const DAY_MS = 86_400_000;

function withRules(rule: object[], fields: Record<string, unknown> = {}): TestCloud {
  const cloud = testCloud();
  cloud.bucket('bucket-1', { lifecycle: { rule }, ...fields });
  return cloud;
}

function passDays(cloud: TestCloud, days: number): void {
  cloud.clock.advance(days * DAY_MS);
  cloud.model.tick();
}

const names = (cloud: TestCloud, query = ''): string[] =>
  (cloud.ask(`GET /storage/v1/b/bucket-1/o${query}`).json.items ?? []).map((item: { name: string }) => item.name);

describe('lifecycle rules', () => {
  it('delete by age under a prefix, not a day early', () => {
    const cloud = withRules([{ action: { type: 'Delete' }, condition: { age: 30, matchesPrefix: ['tmp/'] } }]);
    cloud.put('bucket-1', 'tmp/a');
    cloud.put('bucket-1', 'keep');
    passDays(cloud, 29.9);
    expect(names(cloud)).toEqual(['keep', 'tmp/a']);
    passDays(cloud, 0.1);
    expect(names(cloud)).toEqual(['keep']);
  });

  it('archive by age, the coldest class winning, and never warm up again', () => {
    const cloud = withRules([
      { action: { type: 'SetStorageClass', storageClass: 'NEARLINE' }, condition: { age: 1 } },
      { action: { type: 'SetStorageClass', storageClass: 'ARCHIVE' }, condition: { age: 1, matchesSuffix: ['.log'] } },
    ]);
    cloud.put('bucket-1', 'a.log');
    cloud.put('bucket-1', 'b');
    passDays(cloud, 1);
    const classes = cloud
      .ask('GET /storage/v1/b/bucket-1/o')
      .json.items.map((item: { storageClass: string; metageneration: string }) => [
        item.storageClass,
        item.metageneration,
      ]);
    expect(classes).toEqual([
      ['ARCHIVE', '2'],
      ['NEARLINE', '2'],
    ]);
    passDays(cloud, 1);
    expect(cloud.ask('GET /storage/v1/b/bucket-1/o/b').json.metageneration).toBe('2');
  });

  it('make the live version noncurrent where versioning is on, and keep the newest N', () => {
    const cloud = withRules([{ action: { type: 'Delete' }, condition: { numNewerVersions: 2 } }], {
      versioning: { enabled: true },
    });
    for (const content of ['1', '2', '3', '4']) cloud.put('bucket-1', 'a', content);
    passDays(cloud, 0);
    expect(names(cloud, '?versions=true')).toHaveLength(2);
    cloud.ask('PATCH /storage/v1/b/bucket-1', {
      body: { lifecycle: { rule: [{ action: { type: 'Delete' }, condition: { age: 1, isLive: true } }] } },
    });
    passDays(cloud, 1);
    expect([names(cloud).length, names(cloud, '?versions=true').length]).toEqual([0, 2]);
  });

  it('spare what is under retention until it may go', () => {
    const cloud = withRules([{ action: { type: 'Delete' }, condition: { age: 1 } }], {
      retentionPolicy: { retentionPeriod: String(2 * 86_400) },
    });
    cloud.put('bucket-1', 'a');
    passDays(cloud, 1);
    expect(names(cloud)).toEqual(['a']);
    passDays(cloud, 1);
    expect(names(cloud)).toEqual([]);
  });

  it('abort multipart uploads that nobody finished, which had kept the bucket from being deleted', () => {
    const cloud = withRules([{ action: { type: 'AbortIncompleteMultipartUpload' }, condition: { age: 7 } }]);
    cloud.ask('PUT /storage/v1/b/bucket-1/iam', {
      body: { bindings: [{ role: 'roles/storage.objectAdmin', members: ['allUsers'] }] },
    });
    expect(cloud.ask('POST /bucket-1/big?uploads').text).toMatch(/<UploadId>[0-9a-f]{32}<\/UploadId>/);
    expect(cloud.ask('DELETE /storage/v1/b/bucket-1').status).toBe(409);
    passDays(cloud, 7);
    expect(cloud.model.context.tables.uploads.size).toBe(0);
    expect(cloud.ask('DELETE /storage/v1/b/bucket-1').status).toBe(204);
  });

  it.each([
    [{ createdBefore: '2026-11-21' }, true],
    [{ createdBefore: '2026-11-20' }, false],
    [{ customTimeBefore: '2026-11-01' }, false],
    [{ daysSinceCustomTime: 5 }, true],
    [{ matchesStorageClass: ['STANDARD'] }, true],
    [{ matchesStorageClass: ['NEARLINE'] }, false],
    [{ daysSinceNoncurrentTime: 0 }, false],
    [{ age: 0, matchesSuffix: ['.txt'] }, false],
  ])('%j removes the object: %s', (condition, removed) => {
    const cloud = withRules([{ action: { type: 'Delete' }, condition }]);
    cloud.put('bucket-1', 'a');
    cloud.ask('PATCH /storage/v1/b/bucket-1/o/a', { body: { customTime: '2026-11-10T00:00:00Z' } });
    passDays(cloud, 0);
    expect(names(cloud)).toEqual(removed ? [] : ['a']);
  });
});
