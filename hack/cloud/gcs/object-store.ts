// Versions of objects and their bytes: what replaces, displaces and removes what. No permissions here; objects.ts asks for those.
//
// 1. A live version is in `objects`; when it is replaced or deleted it becomes noncurrent (versioning), else soft-deleted, else gone.
// 2. Bytes live exactly as long as a version, noncurrent or soft-deleted record of the same key.

import { isObject, type JsonObject } from '#hack/cloud/json.ts';
import { crc32cBase64, md5Base64 } from './checksums.ts';
import { softDeleteMs } from './buckets.ts';
import {
  liveKey,
  nextGeneration,
  versionKey,
  type BucketRecord,
  type GcsContext,
  type ObjectRecord,
} from './context.ts';
import { assertErasable } from './protection.ts';

/** Contents of a version to be written. */
export interface NewObject {
  readonly name: string;
  readonly bytes: Buffer;
  readonly fields: JsonObject;
  readonly storageClass: string;
  /** Composed objects: how many parts; they have no MD5. */
  readonly componentCount?: number | undefined;
}

/** Whether replaced and deleted versions are kept. */
export function isVersioned(bucket: BucketRecord): boolean {
  const versioning = bucket.fields['versioning'];
  return isObject(versioning) && versioning['enabled'] === true;
}

export function liveObject(context: GcsContext, bucket: BucketRecord, name: string): ObjectRecord | undefined {
  return context.tables.objects.get(liveKey(bucket, name));
}

/** The live version, or the one of that generation, live or noncurrent. */
export function findObject(
  context: GcsContext,
  bucket: BucketRecord,
  wanted: { name: string; generation?: string | undefined },
): ObjectRecord | undefined {
  const live = liveObject(context, bucket, wanted.name);
  if (wanted.generation === undefined || live?.generation === wanted.generation) return live;
  return context.tables.versions.get(versionKey(bucket, wanted.name, wanted.generation));
}

export function bytesOf(context: GcsContext, bucket: BucketRecord, object: ObjectRecord): Buffer {
  const bytes = context.tables.blobs.get(versionKey(bucket, object.name, object.generation));
  if (bytes === undefined)
    throw new Error(`the bytes of ${object.bucket}/${object.name}#${object.generation} are missing`);
  return bytes;
}

/** Makes a new live version; the former one is displaced. Throws 403 if it must not be. */
export function writeObject(context: GcsContext, bucket: BucketRecord, wanted: NewObject): ObjectRecord {
  const nowMs = context.clock.now();
  const before = liveObject(context, bucket, wanted.name);
  if (before !== undefined) displace(context, bucket, before);
  const object: ObjectRecord = {
    bucket: bucket.name,
    name: wanted.name,
    generation: nextGeneration(context),
    metageneration: 1,
    createdMs: nowMs,
    updatedMs: nowMs,
    storageClass: wanted.storageClass,
    storageClassMs: nowMs,
    size: wanted.bytes.length,
    crc32c: crc32cBase64(wanted.bytes),
    ...(wanted.componentCount === undefined
      ? { md5Hash: md5Base64(wanted.bytes) }
      : { componentCount: wanted.componentCount }),
    fields: wanted.fields,
  };
  context.tables.blobs.set(versionKey(bucket, object.name, object.generation), wanted.bytes);
  context.tables.objects.set(liveKey(bucket, object.name), object);
  return object;
}

/** Replaces the metadata of a live or noncurrent version. */
export function replaceRecord(context: GcsContext, bucket: BucketRecord, object: ObjectRecord): void {
  if (object.noncurrentMs === undefined) context.tables.objects.set(liveKey(bucket, object.name), object);
  else context.tables.versions.set(versionKey(bucket, object.name, object.generation), object);
}

/** Takes the live version out of sight: noncurrent in a versioned bucket, else erased. Throws 403 if that is protected. */
export function displace(context: GcsContext, bucket: BucketRecord, live: ObjectRecord): void {
  if (!isVersioned(bucket)) {
    erase(context, bucket, live);
    return;
  }
  context.tables.objects.delete(liveKey(bucket, live.name));
  context.tables.versions.set(versionKey(bucket, live.name, live.generation), {
    ...live,
    noncurrentMs: context.clock.now(),
  });
}

/** Removes a version, live or noncurrent: soft-deleted if the bucket says so, else gone. Throws 403 if it is protected. */
export function erase(context: GcsContext, bucket: BucketRecord, object: ObjectRecord): void {
  const nowMs = context.clock.now();
  assertErasable(bucket, object, nowMs);
  const key = versionKey(bucket, object.name, object.generation);
  if (object.noncurrentMs === undefined) context.tables.objects.delete(liveKey(bucket, object.name));
  else context.tables.versions.delete(key);
  const keepMs = softDeleteMs(bucket);
  if (keepMs === 0) context.tables.blobs.delete(key);
  else context.tables.deletedObjects.set(key, { ...object, deleted: { softMs: nowMs, hardMs: nowMs + keepMs } });
}
