import { Storage } from '@google-cloud/storage';
import { GoogleAuth, JWT } from 'google-auth-library';
import type { CredentialBody } from 'google-auth-library';
import { z } from 'zod';
import type { ReaderContext, ReaderOp } from '#controller/contract.ts';
import { bucketVerbs } from '#resources/bucket-verbs.ts';
import { externalBucketName } from '#resources/bucket.ts';
import { ApiError, notFound, validationError } from '#resources/errors.ts';
import { issuesOf } from '#resources/issues.ts';
import type { Json, JsonObject } from '#resources/json.ts';
import type { ResourceRow } from '#resources/resource.ts';
import { storageOptions } from '#reconcilers/providers/gcs/sdk-transport.ts';
import type { GcsSettings, SigningSettings } from '#reconcilers/providers/gcs/settings.ts';
import type { BucketClient } from './client.ts';

/** Makes signed URLs; changes nothing and calls nobody. */
export interface UrlSigner {
  /** V4. `now` and `expires` in ms; headers are part of the signature: the client must send exactly these. */
  sign(request: SignRequest): Promise<string>;
}

export interface SignRequest {
  readonly bucket: string;
  readonly key: string;
  readonly action: 'read' | 'write';
  readonly now: number;
  readonly expires: number;
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Signs with a key in memory: no token is fetched and no metadata server asked. The library's own `credentials` option does the same and
 * warns on stderr at each start.
 */
class KeyAuth extends GoogleAuth<JWT> {
  readonly #email: string;

  constructor(projectId: string, { email, privateKey }: SigningSettings) {
    super({ projectId, authClient: new JWT({ email, key: privateKey }) });
    this.#email = email;
  }

  override getCredentials(): Promise<CredentialBody> {
    return Promise.resolve({ client_email: this.#email });
  }
}

/** The SDK's signer with the reader's own key. */
export function sdkSigner(settings: GcsSettings, signing: SigningSettings): UrlSigner {
  const authClient = new KeyAuth(settings.project, signing);
  const storage = new Storage({ ...storageOptions(settings), authClient });
  return {
    async sign({ bucket, key, action, now, expires, contentType, headers }) {
      const [url] = await storage
        .bucket(bucket)
        .file(key)
        .getSignedUrl({
          version: 'v4', // the SDK's own default is v2
          action,
          accessibleAt: now,
          expires,
          ...(contentType === undefined ? {} : { contentType }),
          ...(headers === undefined ? {} : { extensionHeaders: { ...headers } }),
        });
      return url;
    },
  };
}

/** Answers the storage verbs that only look (surface.md). Without a signer, signed URLs are UNAVAILABLE. */
export function bucketReaders(client: BucketClient, signer: UrlSigner | null): Readonly<Record<string, ReaderOp>> {
  return {
    'storage.presign_upload': (input, context) => presignUpload(signer, input, context),
    'storage.presign_download': (input, context) => presignDownload(signer, input, context),
    'storage.list_objects': (input, context) => listObjects(client, input, context),
  };
}

const lengthRange = 'x-goog-content-length-range';

async function presignUpload(signer: UrlSigner | null, input: JsonObject, context: ReaderContext): Promise<Json> {
  const { key, contentType, maxBytes, ttlSeconds } = parse('storage.presign_upload', uploadInput, input);
  const row = rowOf(context);
  if (row.deletedAt !== null) throw deleting(row);
  const bucket = madeBucket(row);
  const expires = context.now + ttlSeconds * 1000;
  const length = { [lengthRange]: `0,${maxBytes}` };
  const url = await configured(signer).sign({
    bucket,
    key,
    action: 'write',
    now: context.now,
    expires,
    contentType,
    headers: length,
  });
  return { method: 'PUT', url, headers: { 'content-type': contentType, ...length }, expiresAt: iso(expires) };
}

async function presignDownload(signer: UrlSigner | null, input: JsonObject, context: ReaderContext): Promise<Json> {
  const { key, ttlSeconds } = parse('storage.presign_download', downloadInput, input);
  const bucket = madeBucket(rowOf(context));
  const expires = context.now + ttlSeconds * 1000;
  const url = await configured(signer).sign({ bucket, key, action: 'read', now: context.now, expires });
  return { method: 'GET', url, headers: {}, expiresAt: iso(expires) };
}

async function listObjects(client: BucketClient, input: JsonObject, context: ReaderContext): Promise<Json> {
  const { prefix, limit, cursor } = parse('storage.list_objects', listInput, input);
  const bucket = madeBucket(rowOf(context));
  const query = {
    limit,
    ...(prefix === undefined || prefix === '' ? {} : { prefix }),
    ...(cursor === undefined ? {} : { cursor }),
  };
  const options = { provider: 'gcs', account: client.project, op: 'objects.list', mutating: false };
  const page = await context.call(options, (signal) => client.objects(bucket, query, signal));
  if (page === null) throw notFound();
  const items = page.objects.map(({ key, sizeBytes, contentType, generation, updatedAt }) => ({
    key,
    size: sizeBytes,
    contentType,
    generation,
    updatedAt,
  }));
  return { items, nextCursor: page.nextCursor };
}

// What the verbs' own schemas promise, for types; the schemas themselves decide what passes.
const downloadInput = z.object({ key: z.string(), ttlSeconds: z.int() });
const uploadInput = downloadInput.extend({ contentType: z.string(), maxBytes: z.int() });
const listInput = z.object({ prefix: z.string().optional(), limit: z.int(), cursor: z.string().optional() });

/** The verb's own rules once more: the reader trusts no caller with "never under backups/". Throws VALIDATION. */
function parse<S extends z.ZodObject>(verb: string, shape: S, input: JsonObject): z.output<S> {
  const checked = bucketVerbs[verb]?.input.safeParse(input);
  if (checked?.success !== true) throw validationError(checked === undefined ? [] : issuesOf(checked.error, ''));
  return shape.parse(checked.data);
}

function rowOf({ row }: ReaderContext): ResourceRow {
  if (row === null || row.kind !== 'Bucket') throw notFound();
  return row;
}

/** The external name of a bucket that a pass has seen with our mark: before that, the name may be a stranger's. */
function madeBucket(row: ResourceRow): string {
  const external = externalBucketName(row.workspace, row.name);
  const seen = row.status['external'];
  if (seen !== null && typeof seen === 'object' && (seen as JsonObject)['name'] === external) return external;
  const ref = { workspace: row.workspace, kind: row.kind, name: row.name };
  throw new ApiError('PRECONDITION_FAILED', `Bucket ${row.workspace}/${row.name} has not been created yet.`, {
    retryable: true,
    remedy: [
      { id: 'wait', call: { proc: 'resources.wait', input: { refs: [ref] } }, destructive: false, needs: 'declarer' },
    ],
  });
}

function deleting(row: ResourceRow): ApiError {
  const key = { workspace: row.workspace, kind: row.kind, name: row.name };
  return new ApiError('IN_USE', `Bucket ${row.workspace}/${row.name} is being deleted and takes no uploads.`, {
    remedy: [
      { id: 'undelete', call: { proc: 'resources.undelete', input: key }, destructive: false, needs: 'declarer' },
    ],
  });
}

function configured(signer: UrlSigner | null): UrlSigner {
  if (signer !== null) return signer;
  throw new ApiError(
    'UNAVAILABLE',
    'Signed URLs are not configured here: the reader needs VIBN_SIGNING_EMAIL and VIBN_SIGNING_KEY_FILE.',
    { retryable: false },
  );
}

const iso = (ms: number): string => new Date(ms).toISOString();
