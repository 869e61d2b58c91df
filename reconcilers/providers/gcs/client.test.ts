import { describe, expect, it } from 'vitest';
import { ProviderError } from '#controller/contract.ts';
import { GcsClient } from './client.ts';
import type { GcsReply, GcsRequest } from './transport.ts';

const signal = new AbortController().signal;
const bucketBody = (changes: object = {}) => ({
  kind: 'storage#bucket',
  name: 'b',
  location: 'NORTHAMERICA-NORTHEAST1',
  metageneration: '3',
  ...changes,
});
const ok = (body: unknown): GcsReply => ({ status: 200, headers: {}, body });
const refused = (code: number, reason: string): GcsReply => ({
  status: code,
  headers: {},
  body: { error: { code, message: reason, errors: [{ reason }] } },
});
const page = (status: number): GcsReply => ({ status, headers: {}, body: '<html></html>' });

/** A client whose server answers in this order; an Error is no answer. */
function scripted(...replies: readonly (GcsReply | Error)[]) {
  const asked: GcsRequest[] = [];
  const client = new GcsClient((request) => {
    const reply = replies[asked.length];
    asked.push(request);
    return reply === undefined || reply instanceof Error
      ? Promise.reject(reply ?? new Error('not scripted'))
      : Promise.resolve(reply);
  }, 'p');
  return { client, asked };
}

async function failure(work: Promise<unknown>): Promise<ProviderError> {
  const error: unknown = await work.then(
    () => new Error('it succeeded'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ProviderError)) throw error;
  return error;
}

describe('looking for a bucket', () => {
  it('normalises what the server says: location, int64, defaults, sets, platform labels', async () => {
    const body = bucketBody({
      metageneration: 12,
      labels: { team: 'web', 'goog-managed': 'x' },
      iamConfiguration: {
        uniformBucketLevelAccess: { enabled: true, lockedTime: '2027-01-01T00:00:00Z' },
        publicAccessPrevention: 'enforced',
      },
      lifecycle: {
        rule: [
          { action: { type: 'Delete' }, condition: { matchesPrefix: ['b/', 'a/'], age: 3, matchesSuffix: [] } },
          { action: { type: 'AbortIncompleteMultipartUpload' }, condition: { age: 1 } },
        ],
      },
      retentionPolicy: { retentionPeriod: '86400', effectiveTime: '2026-11-20T08:00:00.000Z' },
      softDeletePolicy: { retentionDurationSeconds: '604800' },
    });
    await expect(scripted(ok(body)).client.look('b', { sure: false, signal })).resolves.toEqual({
      found: 'readable',
      bucket: {
        name: 'b',
        location: 'northamerica-northeast1',
        metageneration: '12',
        storageClass: 'STANDARD',
        labels: { team: 'web' },
        uniformAccess: true,
        publicAccessPrevented: true,
        versioning: false,
        cors: [],
        lifecycle: [
          { action: { type: 'AbortIncompleteMultipartUpload' }, condition: { age: 1 } },
          { action: { type: 'Delete' }, condition: { age: 3, matchesPrefix: ['a/', 'b/'] } },
        ],
        retention: { seconds: 86_400, locked: false },
        objectRetention: false,
        updatedAt: null,
      },
    });
  });

  it('is absent only when the server itself says notFound', async () => {
    await expect(scripted(refused(404, 'notFound')).client.look('b', { sure: false, signal })).resolves.toEqual({
      found: 'absent',
    });
    expect((await failure(scripted(page(404)).client.look('b', { sure: false, signal }))).detail.reason).toBe(
      'ProviderErrorUnclassified',
    );
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['a page', '<html></html>'],
    ['an empty object', {}],
    ['another kind of thing', { kind: 'storage#buckets', items: [] }],
    ['no metageneration', { ...bucketBody(), metageneration: undefined }],
    ['a metageneration that is no number', bucketBody({ metageneration: 'many' })],
    ['labels that are no texts', bucketBody({ labels: { a: 1 } })],
    ['another bucket', bucketBody({ name: 'c' })],
  ])('a 200 with %s is an error with unknown outcome, never "absent"', async (_what, body) => {
    const { detail } = await failure(scripted(ok(body)).client.look('b', { sure: false, signal }));
    expect(detail).toMatchObject({ reason: 'ProviderErrorUnclassified', outcome: 'unknown' });
  });

  it("a 403 is a stranger's bucket if our project's list does not hold it", async () => {
    const { client, asked } = scripted(refused(403, 'forbidden'), ok({ kind: 'storage#buckets' }));
    await expect(client.look('b', { sure: false, signal })).resolves.toEqual({ found: 'foreign' });
    expect(asked[1]).toMatchObject({ path: '/b', query: { project: 'p', prefix: 'b' } });
  });

  it('a 403 for a bucket of our own project is our credential', async () => {
    const own = ok({ kind: 'storage#buckets', items: [bucketBody()] });
    const error = await failure(scripted(refused(403, 'forbidden'), own).client.look('b', { sure: false, signal }));
    expect(error.detail).toMatchObject({ verdict: 'credential', reason: 'PermissionDenied' });
  });

  it('where it must be sure, one false 404 is not enough', async () => {
    const sure = { sure: true, signal };
    const listed = ok({ kind: 'storage#buckets', items: [bucketBody()] });
    const error = await failure(scripted(refused(404, 'notFound'), listed).client.look('b', sure));
    expect(error.detail).toMatchObject({ verdict: 'retryable', reason: 'ProviderConflict' });
    const gone = scripted(refused(404, 'notFound'), ok({ kind: 'storage#buckets' }));
    await expect(gone.client.look('b', sure)).resolves.toEqual({ found: 'absent' });
  });

  it('a 403 stays a credential problem when the list is refused too', async () => {
    const error = await failure(
      scripted(refused(403, 'forbidden'), refused(403, 'forbidden')).client.look('b', { sure: false, signal }),
    );
    expect(error.detail.verdict).toBe('credential');
  });
});

describe('changing things', () => {
  it('guards a patch, a deletion and a lock with the metageneration, a policy with its etag', async () => {
    const policy = { etag: 'CAE=', bindings: [{ role: 'r', members: ['m'], condition: { title: 't' } }] };
    const { client, asked } = scripted(
      ok(bucketBody()),
      { status: 204, headers: {}, body: undefined },
      ok(bucketBody()),
      ok({ etag: 'CAI=', bindings: [] }),
    );
    await client.patch('b', { patch: { storageClass: 'STANDARD' }, metageneration: '3' }, signal);
    await client.delete('b', '4', signal);
    await client.lockRetention('b', '5', signal);
    await client.setPolicy('b', policy, signal);
    expect(asked.map((request) => request.query['ifMetagenerationMatch'])).toEqual(['3', '4', '5', undefined]);
    expect(asked[3]?.body).toEqual({ ...policy, version: 3 });
  });

  it('sends once, whatever the answer', async () => {
    const { client, asked } = scripted(refused(503, 'backendError'), ok(bucketBody()));
    await failure(client.create({ name: 'b' }, { objectRetention: true }, signal));
    expect(asked).toHaveLength(1);
    expect(asked[0]?.query).toEqual({ project: 'p', enableObjectRetention: 'true' });
  });

  it('takes "not found" of a deletion for done, and nothing else but 204', async () => {
    await expect(scripted(refused(404, 'notFound')).client.delete('b', '1', signal)).resolves.toBeUndefined();
    await expect(
      scripted(refused(404, 'notFound')).client.deleteObject('b', { key: 'k', generation: '1' }, signal),
    ).resolves.toBeUndefined();
    expect((await failure(scripted(page(200)).client.delete('b', '1', signal))).detail.outcome).toBe('unknown');
    expect((await failure(scripted(page(404)).client.delete('b', '1', signal))).detail.outcome).toBe('unknown');
  });

  it('deletes a version for ever, or the live object only if it is still the one that was seen', async () => {
    const gone: GcsReply = { status: 204, headers: {}, body: '' };
    const { client, asked } = scripted(gone, gone);
    await client.deleteObject('b', { key: 'a/b c', generation: '7' }, signal);
    await client.deleteObject('b', { key: 'a/b c', ifGeneration: '8' }, signal);
    expect(asked.map((request) => request.path)).toEqual(['/b/b/o/a%2Fb%20c', '/b/b/o/a%2Fb%20c']);
    expect(asked.map((request) => request.query)).toEqual([{ generation: '7' }, { ifGenerationMatch: '8' }]);
  });

  it('a lost answer has an unknown outcome, a refused connection sent nothing', async () => {
    const failing = (code: string) =>
      failure(scripted(Object.assign(new Error('x'), { code })).client.delete('b', '1', signal));
    expect((await failing('ECONNRESET')).detail).toMatchObject({ verdict: 'unavailable', outcome: 'unknown' });
    expect((await failing('ECONNREFUSED')).detail).toMatchObject({ verdict: 'unavailable', outcome: 'not-done' });
  });
});

describe('listing objects', () => {
  it('shows the later of two retentions, and holds', async () => {
    const item = {
      name: 'k',
      generation: '1',
      size: '9007199254740991',
      retentionExpirationTime: '2026-12-01T00:00:00Z',
      retention: { mode: 'Locked', retainUntilTime: '2027-12-01T00:00:00Z' },
      temporaryHold: true,
    };
    const { client } = scripted(ok({ kind: 'storage#objects', items: [item], nextPageToken: 't' }));
    await expect(client.objects('b', { limit: 5 }, signal)).resolves.toEqual({
      objects: [
        {
          key: 'k',
          generation: '1',
          sizeBytes: 9_007_199_254_740_991,
          contentType: null,
          updatedAt: null,
          retainedUntil: '2027-12-01T00:00:00Z',
          onHold: true,
        },
      ],
      nextCursor: 't',
    });
  });

  it('an answer without its kind is not an empty page', async () => {
    expect((await failure(scripted(ok({})).client.objects('b', { limit: 5 }, signal))).detail.outcome).toBe('unknown');
  });

  it('one unreadable object makes the page unreadable: it never counts as fewer objects', async () => {
    const items = [{ name: 'k', generation: '1' }, { name: 'l' }];
    const error = await failure(
      scripted(ok({ kind: 'storage#objects', items })).client.objects('b', { limit: 5 }, signal),
    );
    expect(error.detail.reason).toBe('ProviderErrorUnclassified');
  });
});
