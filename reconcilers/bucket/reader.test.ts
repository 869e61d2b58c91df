import { describe, expect, it } from 'vitest';
import type { ReaderContext } from '#controller/contract.ts';
import { bucketVerbs } from '#resources/bucket-verbs.ts';
import { bucket } from '#resources/bucket.ts';
import { ApiError } from '#resources/errors.ts';
import type { Json, JsonObject } from '#resources/json.ts';
import type { ResourceRow } from '#resources/resource.ts';
import { GcsClient } from '#reconcilers/providers/gcs/client.ts';
import type { GcsRequest } from '#reconcilers/providers/gcs/transport.ts';
import { bucketReaders } from './reader.ts';
import type { SignRequest } from './reader.ts';

const now = Date.UTC(2026, 10, 20, 8);
const row: ResourceRow = {
  shard: 1,
  uid: 'u1',
  workspace: 'acme',
  kind: 'Bucket',
  name: 'uploads',
  generation: 1,
  version: 1,
  labels: {},
  annotations: {},
  ownerUid: null,
  slot: null,
  spec: bucket.spec.parse({}) as unknown as JsonObject,
  status: { external: { name: 'vibn-ws-acme-uploads', location: 'northamerica-northeast1' } },
  conditions: [],
  observedGeneration: 1,
  outputsDigest: null,
  deletedAt: null,
  deletionPolicy: null,
  undoUntil: null,
  finalizingAt: null,
  createdBy: { keyId: 'k', lineage: 'l', class: 'human', workspace: null, scopes: [] },
  createdAt: now,
  updatedAt: now,
};

const page: Json = {
  kind: 'storage#objects',
  items: [
    { name: 'a.txt', generation: '3', size: '5', contentType: 'text/plain', updated: '2026-11-20T08:00:00.000Z' },
  ],
  nextPageToken: 'more',
};

/** Asks a reader as the API would: through the verb's own schema. */
async function ask(verb: string, input: JsonObject, how: { row?: ResourceRow | null; signer?: boolean } = {}) {
  const signed: SignRequest[] = [];
  const asked: GcsRequest[] = [];
  const client = new GcsClient((request) => {
    asked.push(request);
    return Promise.resolve({ status: 200, headers: {}, body: page });
  }, 'p');
  const signer = {
    sign: (request: SignRequest) => {
      signed.push(request);
      return Promise.resolve('https://signed.example/');
    },
  };
  const context: ReaderContext = {
    row: how.row === undefined ? row : how.row,
    now,
    call: (options, send) => {
      expect(options).toMatchObject({ provider: 'gcs', account: 'p', mutating: false });
      return send(new AbortController().signal);
    },
  };
  const readers = bucketReaders(client, how.signer === false ? null : signer);
  const parsed = bucketVerbs[verb]?.input.safeParse({ workspace: 'acme', bucket: 'uploads', ...input });
  const given = parsed?.success === true ? parsed.data : { workspace: 'acme', bucket: 'uploads', ...input };
  const answer = await readers[verb]?.(given as JsonObject, context);
  return { answer, signed, asked };
}

async function refusal(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ApiError)) throw new Error(`not refused: ${String(error)}`);
  return error.data.code;
}

const upload = { key: 'a b.png', contentType: 'image/png' };

describe('a signed upload', () => {
  it('signs type and length, for five minutes', async () => {
    const { answer, signed } = await ask('storage.presign_upload', upload);
    expect(signed).toEqual([
      {
        bucket: 'vibn-ws-acme-uploads',
        key: 'a b.png',
        action: 'write',
        now,
        expires: now + 300_000,
        contentType: 'image/png',
        headers: { 'x-goog-content-length-range': '0,104857600' },
      },
    ]);
    expect(answer).toEqual({
      method: 'PUT',
      url: 'https://signed.example/',
      headers: { 'content-type': 'image/png', 'x-goog-content-length-range': '0,104857600' },
      expiresAt: '2026-11-20T08:05:00.000Z',
    });
  });

  it('is refused while the bucket is being deleted, downloads are not', async () => {
    const going = { ...row, deletedAt: now, undoUntil: now + 1 };
    expect(await refusal(ask('storage.presign_upload', upload, { row: going }))).toBe('IN_USE');
    await expect(ask('storage.presign_download', { key: 'a' }, { row: going })).resolves.toBeDefined();
  });
});

describe('a signed URL', () => {
  it.each(['backups/db/1.sql.gz', 'a/../backups/x', './x', 'a\nb', '', 'é'.repeat(513)])(
    'is never made for "%s"',
    async (key) => {
      expect(await refusal(ask('storage.presign_download', { key, ttlSeconds: 60 }))).toBe('VALIDATION');
      expect(await refusal(ask('storage.presign_upload', { ...upload, key, maxBytes: 1, ttlSeconds: 60 }))).toBe(
        'VALIDATION',
      );
    },
  );

  it('lives at most 15 minutes', async () => {
    expect(await refusal(ask('storage.presign_download', { key: 'a', ttlSeconds: 901 }))).toBe('VALIDATION');
  });

  it('is made only for a bucket that a pass has seen as ours', async () => {
    expect(await refusal(ask('storage.presign_download', { key: 'a' }, { row: { ...row, status: {} } }))).toBe(
      'PRECONDITION_FAILED',
    );
    expect(await refusal(ask('storage.presign_download', { key: 'a' }, { row: null }))).toBe('NOT_FOUND');
  });

  it('says what to configure where no key is', async () => {
    expect(await refusal(ask('storage.presign_download', { key: 'a' }, { signer: false }))).toBe('UNAVAILABLE');
  });
});

describe('a list of objects', () => {
  it.each(['\ud800', 'é'.repeat(513)])('is never asked for under a prefix that no name begins with', async (prefix) => {
    expect(await refusal(ask('storage.list_objects', { prefix, limit: 7 }))).toBe('VALIDATION');
  });

  it('has one page, with a cursor to the next', async () => {
    const { answer, asked } = await ask('storage.list_objects', { prefix: 'a', limit: 7, cursor: 'here' });
    expect(asked).toEqual([
      {
        method: 'GET',
        path: '/b/vibn-ws-acme-uploads/o',
        query: { maxResults: '7', prefix: 'a', pageToken: 'here' },
      },
    ]);
    expect(answer).toEqual({
      items: [
        { key: 'a.txt', size: 5, contentType: 'text/plain', generation: '3', updatedAt: '2026-11-20T08:00:00.000Z' },
      ],
      nextCursor: 'more',
    });
  });
});
