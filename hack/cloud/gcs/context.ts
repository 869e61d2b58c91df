// What the parts of the storage model share, and the records they keep.

import type { CloudClock, CloudRng } from '#hack/cloud/clock.ts';
import type { IamModel, Identity } from '#hack/cloud/iam/model.ts';
import type { StoredPolicy } from '#hack/cloud/iam/policy.ts';
import type { JsonObject } from '#hack/cloud/json.ts';
import type { CloudState, Table } from '#hack/cloud/state.ts';
import type { BucketFields } from './bucket-fields.ts';
import type { RateLimits } from './rates.ts';

export interface BucketRecord {
  readonly name: string;
  readonly project: string;
  /** Microseconds since 1970, as all generations: unique and growing. */
  readonly generation: string;
  readonly metageneration: number;
  readonly createdMs: number;
  readonly updatedMs: number;
  readonly objectRetention: boolean;
  readonly fields: BucketFields;
  readonly policy: StoredPolicy;
  /** Set while soft-deleted. */
  readonly deleted?: { readonly softMs: number; readonly hardMs: number } | undefined;
}

/** Metadata of one version of an object; its bytes are in `blobs` under the same key. */
export interface ObjectRecord {
  readonly bucket: string;
  readonly name: string;
  readonly generation: string;
  readonly metageneration: number;
  readonly createdMs: number;
  readonly updatedMs: number;
  readonly storageClass: string;
  readonly storageClassMs: number;
  readonly size: number;
  readonly crc32c: string;
  /** Absent for composed objects. */
  readonly md5Hash?: string | undefined;
  readonly componentCount?: number | undefined;
  /** contentType, contentEncoding, cacheControl, metadata, retention, holds …: what a caller may write. */
  readonly fields: JsonObject;
  /** When the live version became noncurrent. */
  readonly noncurrentMs?: number | undefined;
  readonly deleted?: { readonly softMs: number; readonly hardMs: number } | undefined;
}

/** A resumable or XML multipart upload under way. Bytes are in `parts` under "<id>/<number>". */
export interface UploadRecord {
  readonly id: string;
  readonly kind: 'resumable' | 'multipart';
  readonly bucket: string;
  readonly name: string;
  readonly createdMs: number;
  readonly fields: JsonObject;
  readonly query: string;
  /** Whom the bytes are written for: a session URL carries the right of the one who began it. */
  readonly caller: Identity;
  readonly received: number;
  readonly state: 'open' | 'done' | 'cancelled';
  /** Of a finished upload: the generation made. */
  readonly generation?: string | undefined;
}

export interface HmacKeyRecord {
  readonly accessId: string;
  /** Shown once, at creation; kept to check signatures with. */
  readonly secret: string;
  readonly project: string;
  readonly email: string;
  readonly state: 'ACTIVE' | 'INACTIVE' | 'DELETED';
  readonly createdMs: number;
  readonly updatedMs: number;
  readonly revision: number;
}

/** Everything that the storage model remembers. */
export interface GcsTables {
  readonly buckets: Table<BucketRecord>;
  readonly deletedBuckets: Table<BucketRecord>;
  /** Live versions under "<bucket>#<bucket generation>/<name>". */
  readonly objects: Table<ObjectRecord>;
  /** Noncurrent versions under "<live key>\0<generation>", as are soft-deleted ones and the bytes of all three. */
  readonly versions: Table<ObjectRecord>;
  readonly deletedObjects: Table<ObjectRecord>;
  readonly blobs: Table<Buffer>;
  readonly uploads: Table<UploadRecord>;
  readonly parts: Table<Buffer>;
  readonly hmacKeys: Table<HmacKeyRecord>;
  readonly counters: Table<string>;
}

export interface GcsContext {
  readonly clock: CloudClock;
  readonly rng: CloudRng;
  readonly state: CloudState;
  readonly tables: GcsTables;
  readonly iam: IamModel;
  readonly rates: RateLimits;
}

/** Opens the tables. Those of objects are grouped by bucket: what precedes the first "/" of the key. */
export function openTables(state: CloudState): GcsTables {
  const beforeSlash = (key: string): string => key.slice(0, key.indexOf('/'));
  return {
    buckets: state.table('buckets'),
    deletedBuckets: state.table('deletedBuckets'),
    objects: state.table('objects', { groupOf: beforeSlash }),
    versions: state.table('versions', { groupOf: beforeSlash }),
    deletedObjects: state.table('deletedObjects', { groupOf: beforeSlash }),
    blobs: state.table('blobs'),
    uploads: state.table('uploads'),
    parts: state.table('parts', { groupOf: beforeSlash }),
    hmacKeys: state.table('hmacKeys'),
    counters: state.table('counters'),
  };
}

/** A generation that was never given before: microseconds now, or one more than the last. */
export function nextGeneration(context: GcsContext): string {
  const last = BigInt(context.tables.counters.get('generation') ?? '0');
  const now = BigInt(context.clock.now()) * 1_000n;
  const next = String(now > last ? now : last + 1n);
  context.tables.counters.set('generation', next);
  return next;
}

/** 32 hex digits from the injected chance: unique enough to name an upload, and the same again with the same seed. */
export function randomId(context: GcsContext): string {
  return randomText(context, '0123456789abcdef', 32);
}

/** Characters of the alphabet from the injected chance. */
export function randomText(context: GcsContext, alphabet: string, length: number): string {
  return Array.from({ length }, () => alphabet[Math.floor(context.rng.next() * alphabet.length)]).join('');
}

/** The key of an object's live version. */
export function liveKey(bucket: BucketRecord, name: string): string {
  return `${objectGroup(bucket)}/${name}`;
}

/** The key of one version, live or not, among bytes, noncurrent and soft-deleted versions. */
export function versionKey(bucket: BucketRecord, name: string, generation: string): string {
  return `${liveKey(bucket, name)}\0${generation}`;
}

/** The group of a bucket's objects. A new bucket of an old name has another. */
export function objectGroup(bucket: BucketRecord): string {
  return `${bucket.name}#${bucket.generation}`;
}
