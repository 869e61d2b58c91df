import { createHash } from 'node:crypto';
import fc from 'fast-check';
import '#test/support/seeds.ts';
import { describe, expect, it } from 'vitest';
import { crc32c, crc32cBase64 } from './checksums.ts';
import { testCloud, type TestCloud } from './testing.ts';

const DAY_MS = 86_400_000;
const OBJECT = '/storage/v1/b/bucket-1/o/a';

function withBucket(fields: Record<string, unknown> = {}): TestCloud {
  const cloud = testCloud();
  cloud.bucket('bucket-1', fields);
  return cloud;
}

describe('checksums', () => {
  it.each([
    ['', 0],
    ['123456789', 0xe3069283],
    ['The quick brown fox jumps over the lazy dog', 0x22620404],
  ])('CRC32C of %j is the published value', (text, expected) => {
    expect(crc32c(Buffer.from(text))).toBe(expected);
  });

  it('CRC32C by eight bytes equals CRC32C bit by bit', () => {
    const slow = (bytes: Buffer): number => {
      let crc = 0xffffffff;
      for (const byte of bytes) {
        crc ^= byte;
        for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
      }
      return (crc ^ 0xffffffff) >>> 0;
    };
    const property = fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      expect(crc32c(Buffer.from(bytes))).toBe(slow(Buffer.from(bytes)));
    });
    expect(() => fc.assert(property)).not.toThrow();
  });

  it('stated by the caller refuse a write whose bytes differ', () => {
    const cloud = withBucket();
    const upload = (metadata: object): number => {
      const body = `--b\r\nContent-Type: application/json\r\n\r\n${JSON.stringify(metadata)}\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--`;
      return cloud.ask('POST /upload/storage/v1/b/bucket-1/o?uploadType=multipart&name=a', {
        body,
        headers: { 'content-type': 'multipart/related; boundary=b' },
      }).status;
    };
    expect(upload({ crc32c: 'AAAAAA==' })).toBe(400);
    expect(upload({ md5Hash: 'AAAA' })).toBe(400);
    expect(cloud.ask(`GET ${OBJECT}`).status).toBe(404);
    expect(
      upload({
        crc32c: crc32cBase64(Buffer.from('hello')),
        md5Hash: createHash('md5').update('hello').digest('base64'),
      }),
    ).toBe(200);
  });
});

describe('protection of objects', () => {
  it('a hold stops delete and overwrite until it is lifted', () => {
    const cloud = withBucket();
    cloud.put('bucket-1', 'a');
    cloud.ask(`PATCH ${OBJECT}`, { body: { temporaryHold: true } });
    expect(cloud.ask(`DELETE ${OBJECT}`).json.error).toMatchObject({
      code: 403,
      errors: [{ reason: 'objectUnderActiveHold' }],
    });
    expect(cloud.ask('POST /upload/storage/v1/b/bucket-1/o?uploadType=media&name=a', { body: 'y' }).status).toBe(403);
    cloud.ask(`PATCH ${OBJECT}`, { body: { temporaryHold: false } });
    expect(cloud.ask(`DELETE ${OBJECT}`).status).toBe(204);
  });

  it('the bucket\u2019s retention ends with time, and the refusal says when', () => {
    const cloud = withBucket({ retentionPolicy: { retentionPeriod: '86400' } });
    cloud.put('bucket-1', 'a');
    expect(cloud.ask(`GET ${OBJECT}`).json.retentionExpirationTime).toBe('2026-11-21T08:00:00.000Z');
    expect(cloud.ask(`DELETE ${OBJECT}`).json.error.message).toMatch(/until 2026-11-21T08:00:00\.000Z$/);
    cloud.clock.advance(DAY_MS);
    expect(cloud.ask(`DELETE ${OBJECT}`).status).toBe(204);
  });

  it('an own retention needs a bucket made for it', () => {
    const cloud = withBucket();
    cloud.put('bucket-1', 'a');
    const retention = { mode: 'Locked', retainUntilTime: '2026-12-01T00:00:00.000Z' };
    expect(cloud.ask(`PATCH ${OBJECT}`, { body: { retention } }).status).toBe(400);
  });

  it('an own Locked retention can only be lengthened; an Unlocked one also shortened, by those who say so', () => {
    const cloud = testCloud();
    cloud.ask('POST /storage/v1/b?project=vibn-local&enableObjectRetention=true', { body: { name: 'bucket-1' } });
    cloud.put('bucket-1', 'a');
    const retain = (mode: string, day: string, query = ''): number =>
      cloud.ask(`PATCH ${OBJECT}${query}`, {
        body: { retention: { mode, retainUntilTime: `2026-12-${day}T00:00:00.000Z` } },
      }).status;
    expect(retain('Unlocked', '10')).toBe(200);
    expect(retain('Unlocked', '05')).toBe(403);
    expect(retain('Unlocked', '05', '?overrideUnlockedRetention=true')).toBe(200);
    expect(retain('Locked', '06')).toBe(200);
    expect(retain('Locked', '05', '?overrideUnlockedRetention=true')).toBe(403);
    expect(cloud.ask(`PATCH ${OBJECT}?overrideUnlockedRetention=true`, { body: { retention: null } }).status).toBe(403);
    expect(retain('Locked', '20')).toBe(200);
    expect(cloud.ask(`DELETE ${OBJECT}`).json.error.errors[0].reason).toBe('retentionPolicyNotMet');
    cloud.clock.advance(31 * DAY_MS);
    expect(cloud.ask(`DELETE ${OBJECT}`).status).toBe(204);
  });

  it('in a versioned bucket the live version steps aside, but no version is erased early', () => {
    const cloud = withBucket({ versioning: { enabled: true }, retentionPolicy: { retentionPeriod: '86400' } });
    const { generation } = cloud.put('bucket-1', 'a');
    expect(cloud.ask(`DELETE ${OBJECT}`).status).toBe(204);
    expect(cloud.ask(`GET ${OBJECT}`).status).toBe(404);
    expect(cloud.ask(`DELETE ${OBJECT}?generation=${generation}`).status).toBe(403);
    cloud.clock.advance(DAY_MS);
    expect(cloud.ask(`DELETE ${OBJECT}?generation=${generation}`).status).toBe(204);
  });
});

describe('preconditions of objects', () => {
  it.each([
    ['DELETE', 'ifGenerationMatch=1', 412],
    ['DELETE', 'ifMetagenerationMatch=2', 412],
    ['DELETE', 'ifGenerationNotMatch=1', 204],
    ['GET', 'ifMetagenerationNotMatch=1', 304],
    ['GET', 'ifGenerationMatch=x', 400],
    ['PATCH', 'ifMetagenerationMatch=1', 200],
    ['PATCH', 'ifMetagenerationNotMatch=1', 412],
  ])('%s with %s answers %i', (method, query, status) => {
    const cloud = withBucket();
    cloud.put('bucket-1', 'a');
    expect(cloud.ask(`${method} ${OBJECT}?${query}`, { body: { cacheControl: 'no-store' } }).status).toBe(status);
  });

  it('ifGenerationMatch names one very version to replace', () => {
    const cloud = withBucket();
    const { generation } = cloud.put('bucket-1', 'a');
    const replace = (): number =>
      cloud.ask(`POST /upload/storage/v1/b/bucket-1/o?uploadType=media&name=a&ifGenerationMatch=${generation}`, {
        body: 'n',
      }).status;
    expect([replace(), replace()]).toEqual([200, 412]);
  });
});

describe('listing objects', () => {
  it('gives every name once and every folder once, whatever the page size', () => {
    const names = fc.uniqueArray(
      fc.string({ unit: fc.constantFrom('a', 'b', '/', '0', '-'), minLength: 1, maxLength: 6 }),
      { maxLength: 14 },
    );
    const property = fc.property(
      names,
      fc.integer({ min: 1, max: 4 }),
      fc.constantFrom('', 'a', 'a/', 'b'),
      (all, size, prefix) => {
        const cloud = withBucket();
        const kept = all.filter((name) => name !== '.' && name !== '..');
        for (const name of kept) cloud.put('bucket-1', name);
        const items: string[] = [];
        const prefixes: string[] = [];
        let token = '';
        do {
          const page = cloud.ask(
            `GET /storage/v1/b/bucket-1/o?delimiter=/&prefix=${encodeURIComponent(prefix)}&maxResults=${size}&pageToken=${token}`,
          ).json;
          items.push(...(page.items ?? []).map((item: { name: string }) => item.name));
          prefixes.push(...(page.prefixes ?? []));
          expect((page.items ?? []).length + (page.prefixes ?? []).length).toBeLessThanOrEqual(size);
          token = page.nextPageToken ?? '';
        } while (token !== '');
        const matching = kept.filter((name) => name.startsWith(prefix)).sort((a, b) => (a < b ? -1 : 1));
        const folder = (name: string): string | undefined =>
          name.indexOf('/', prefix.length) === -1 ? undefined : name.slice(0, name.indexOf('/', prefix.length) + 1);
        expect(items).toEqual(matching.filter((name) => folder(name) === undefined));
        expect(prefixes).toEqual([...new Set(matching.flatMap((name) => folder(name) ?? []))]);
      },
    );
    fc.assert(property, { numRuns: 150 });
  });

  it('gives versions newest last, between offsets, and refuses a broken token', () => {
    const cloud = withBucket({ versioning: { enabled: true } });
    for (const name of ['a', 'b', 'a', 'c']) cloud.put('bucket-1', name);
    const versions = cloud.ask('GET /storage/v1/b/bucket-1/o?versions=true&endOffset=c').json.items;
    expect(
      versions.map((item: { name: string; timeDeleted?: string }) => [item.name, item.timeDeleted !== undefined]),
    ).toEqual([
      ['a', true],
      ['a', false],
      ['b', false],
    ]);
    expect(
      cloud.ask('GET /storage/v1/b/bucket-1/o?startOffset=b').json.items.map((item: { name: string }) => item.name),
    ).toEqual(['b', 'c']);
    expect(cloud.ask('GET /storage/v1/b/bucket-1/o?pageToken=!!').status).toBe(400);
    expect(cloud.ask('GET /storage/v1/b/bucket-1/o?maxResults=0').status).toBe(400);
  });
});

describe('soft deletion', () => {
  it('keeps bytes for its time, then lets them go', () => {
    const cloud = withBucket();
    const { generation } = cloud.put('bucket-1', 'a', 'precious');
    cloud.ask(`DELETE ${OBJECT}`);
    expect(cloud.ask(`GET ${OBJECT}?softDeleted=true&generation=${generation}`).json.hardDeleteTime).toBe(
      '2026-11-27T08:00:00.000Z',
    );
    cloud.clock.advance(7 * DAY_MS);
    cloud.model.tick();
    expect(cloud.ask(`POST ${OBJECT}/restore?generation=${generation}`).status).toBe(404);
    expect(cloud.model.context.tables.blobs.size).toBe(0);
  });

  it('does not keep a bucket from being deleted', () => {
    const cloud = withBucket();
    cloud.put('bucket-1', 'a');
    cloud.ask(`DELETE ${OBJECT}`);
    expect(cloud.ask('DELETE /storage/v1/b/bucket-1').status).toBe(204);
  });

  it('switched off leaves nothing behind', () => {
    const cloud = withBucket({ softDeletePolicy: { retentionDurationSeconds: '0' } });
    cloud.put('bucket-1', 'a');
    cloud.put('bucket-1', 'a');
    cloud.ask(`DELETE ${OBJECT}`);
    expect([cloud.model.context.tables.blobs.size, cloud.model.context.tables.deletedObjects.size]).toEqual([0, 0]);
  });
});

describe('access to objects', () => {
  const token = { authorization: 'Bearer ws' };

  function withWorkspace(bindings: object[]): TestCloud {
    const cloud = withBucket();
    cloud.model.iam.registerToken({ token: 'ws', email: 'ws@example.com', project: 'vibn-local', roles: [] });
    const answer = cloud.ask('PUT /storage/v1/b/bucket-1/iam', { body: { version: 3, bindings } });
    expect(answer.status).toBe(200);
    return cloud;
  }

  it('a condition keeps an account out of one prefix', () => {
    const condition = {
      title: 'not backups',
      expression: '!resource.name.startsWith("projects/_/buckets/bucket-1/objects/backups/")',
    };
    const cloud = withWorkspace([{ role: 'roles/storage.objectAdmin', members: ['user:ws@example.com'], condition }]);
    cloud.put('bucket-1', 'backups/b');
    const write = (name: string): number =>
      cloud.ask(`POST /upload/storage/v1/b/bucket-1/o?uploadType=media&name=${name}`, { body: 'x', headers: token })
        .status;
    expect([write('uploads/u'), write('backups/b')]).toEqual([200, 403]);
    expect(cloud.ask('DELETE /storage/v1/b/bucket-1/o/backups%2Fb', { headers: token }).status).toBe(403);
    expect(cloud.ask('GET /storage/v1/b/bucket-1/o/uploads%2Fu?alt=media', { headers: token }).status).toBe(200);
  });

  it('one who may create but not delete cannot overwrite, and learns nothing about what is absent', () => {
    const cloud = withWorkspace([{ role: 'roles/storage.objectCreator', members: ['user:ws@example.com'] }]);
    const write = (): number =>
      cloud.ask('POST /upload/storage/v1/b/bucket-1/o?uploadType=media&name=n', { body: 'x', headers: token }).status;
    expect([write(), write()]).toEqual([200, 403]);
    expect(cloud.ask('GET /storage/v1/b/bucket-1/o/none', { headers: token }).status).toBe(403);
  });

  it('public access prevention takes effect over a public binding that is already there', () => {
    const cloud = withWorkspace([{ role: 'roles/storage.objectViewer', members: ['allUsers'] }]);
    cloud.put('bucket-1', 'a');
    expect(cloud.ask('GET /bucket-1/a').status).toBe(200);
    expect(cloud.ask('GET /bucket-1?prefix=a').text).toMatch(
      /<IsTruncated>false<\/IsTruncated><Contents><Key>a<\/Key>/,
    );
    expect(cloud.ask('GET /bucket-1/none').text).toMatch(/NoSuchKey/);
    cloud.ask('PATCH /storage/v1/b/bucket-1', { body: { iamConfiguration: { publicAccessPrevention: 'enforced' } } });
    expect(cloud.ask('GET /bucket-1/a').status).toBe(403);
    expect(cloud.ask('GET /none/a').text).toMatch(/NoSuchBucket/);
  });
});
