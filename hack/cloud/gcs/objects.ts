// Objects: write, read, change, delete, restore. Wire facts: gcp-aws §2.1 to §2.5. Copies are in object-copy.ts, lists in object-list.ts.

import type { Identity } from '#hack/cloud/iam/model.ts';
import { isObject, mergePatch, sameJson, withoutNull, type JsonObject } from '#hack/cloud/json.ts';
import { demand, may } from './access.ts';
import { usesUniformAccess, type Buckets } from './buckets.ts';
import { crc32cBase64, md5Base64 } from './checksums.ts';
import { versionKey, type BucketRecord, type GcsContext, type ObjectRecord } from './context.ts';
import { ACCESS_LISTS, forbidden, invalid, notModelled, objectMissing, required } from './errors.ts';
import { STORAGE_CLASSES } from './lifecycle-rules.ts';
import { objectNameProblem } from './names.ts';
import { normaliseObjectFields, OBJECT_FIELDS } from './object-fields.ts';
import { objectResource } from './object-resource.ts';
import { bytesOf, displace, erase, findObject, liveObject, replaceRecord, writeObject } from './object-store.ts';
import { boolean, checkPreconditions, int64, type Query } from './preconditions.ts';

const LEGACY_ACL =
  'Cannot insert legacy ACL for an object when uniform bucket-level access is enabled. Read more at https://cloud.google.com/storage/docs/uniform-bucket-level-access';

/** Which object a call is about. */
export interface ObjectRef {
  readonly bucket: string;
  readonly name: string;
}

export interface InsertRequest extends ObjectRef {
  readonly query: Query;
  /** The metadata part of an upload. */
  readonly fields: JsonObject;
  readonly bytes: Buffer;
  readonly componentCount?: number | undefined;
}

/** A version that was found and may be read. */
export interface FoundObject {
  readonly bucket: BucketRecord;
  readonly object: ObjectRecord;
}

/** The operations on single objects. Each checks the caller's permission itself and throws GcsError. */
export class Objects {
  readonly #context: GcsContext;
  readonly #buckets: Buckets;

  constructor(context: GcsContext, buckets: Buckets) {
    this.#context = context;
    this.#buckets = buckets;
  }

  /** Writes a whole object. */
  insert(identity: Identity, request: InsertRequest): JsonObject {
    const context = this.#context;
    const bucket = this.admitInsert(identity, request);
    const override = boolean(request.query, 'overrideUnlockedRetention');
    const wanted =
      bucket.fields['defaultEventBasedHold'] === true ? { eventBasedHold: true, ...request.fields } : request.fields;
    const fields = normaliseObjectFields(withoutNull(wanted), {
      nowMs: context.clock.now(),
      retentionAllowed: bucket.objectRetention,
      override,
    });
    checkDeclaredHashes(request.fields, request.bytes);
    context.rates.take('objectWrite', `${request.bucket}/${request.name}`);
    const object = writeObject(context, bucket, {
      name: request.name,
      bytes: request.bytes,
      fields: { contentType: 'application/octet-stream', ...fields },
      storageClass: storageClassFor(bucket, request.fields),
      componentCount: request.componentCount,
    });
    return objectResource(bucket, object);
  }

  /** Everything about a write that can be refused before the bytes are there. */
  admitInsert(identity: Identity, request: Omit<InsertRequest, 'bytes'>): BucketRecord {
    const context = this.#context;
    const bucket = this.#buckets.existing(request.bucket);
    const { name } = request;
    if (name === '') throw required('name');
    const problem = objectNameProblem(name);
    if (problem !== undefined) throw invalid(problem);
    demand(context, identity, { permission: 'storage.objects.create', bucket, object: name });
    const live = liveObject(context, bucket, name);
    if (live !== undefined) demand(context, identity, { permission: 'storage.objects.delete', bucket, object: name });
    if (request.fields['retention'] !== undefined)
      demand(context, identity, { permission: 'storage.objects.setRetention', bucket, object: name });
    if (request.query.has('predefinedAcl') || request.fields['acl'] !== undefined)
      throw usesUniformAccess(bucket.fields) ? invalid(LEGACY_ACL) : notModelled(ACCESS_LISTS);
    checkPreconditions(request.query, live);
    return bucket;
  }

  get(identity: Identity, ref: ObjectRef, query: Query): JsonObject {
    if (boolean(query, 'softDeleted')) {
      const { bucket, object } = this.#softDeleted(identity, ref, query);
      return objectResource(bucket, object);
    }
    const { bucket, object } = this.find(identity, ref, query);
    return objectResource(bucket, object);
  }

  /** The version and its bytes. */
  read(identity: Identity, ref: ObjectRef, query: Query): FoundObject & { bytes: Buffer } {
    const found = this.find(identity, ref, query);
    return { ...found, bytes: bytesOf(this.#context, found.bucket, found.object) };
  }

  /** The version that `generation` (or nothing: the live one) names, for a caller who may read it. Throws 404, 403, 304, 412. */
  find(identity: Identity, ref: ObjectRef, query: Query): FoundObject {
    const bucket = this.#buckets.existing(ref.bucket);
    demand(this.#context, identity, { permission: 'storage.objects.get', bucket, object: ref.name });
    const object = findObject(this.#context, bucket, { name: ref.name, generation: int64(query, 'generation') });
    if (object === undefined) throw this.#missing(identity, bucket, ref.name);
    checkPreconditions(query, object, { read: true });
    return { bucket, object };
  }

  /** PATCH: a merge patch of the writable fields. */
  patch(identity: Identity, ref: ObjectRef, change: { query: Query; body: JsonObject }): JsonObject {
    const { bucket, object } = this.#forUpdate(identity, ref, change.query);
    return this.#store(
      identity,
      { bucket, object },
      { query: change.query, wanted: mergePatch(object.fields, writable(change.body)) as JsonObject },
    );
  }

  /** PUT: what the body leaves out is removed. */
  update(identity: Identity, ref: ObjectRef, change: { query: Query; body: JsonObject }): JsonObject {
    const found = this.#forUpdate(identity, ref, change.query);
    return this.#store(identity, found, { query: change.query, wanted: withoutNull(writable(change.body)) });
  }

  delete(identity: Identity, ref: ObjectRef, query: Query): void {
    const context = this.#context;
    const bucket = this.#buckets.existing(ref.bucket);
    demand(context, identity, { permission: 'storage.objects.delete', bucket, object: ref.name });
    const generation = int64(query, 'generation');
    const object = findObject(context, bucket, { name: ref.name, generation });
    if (object === undefined) throw this.#missing(identity, bucket, ref.name);
    checkPreconditions(query, object);
    context.rates.take('objectWrite', `${ref.bucket}/${ref.name}`);
    if (generation === undefined) displace(context, bucket, object);
    else erase(context, bucket, object);
  }

  /** Brings a soft-deleted version back as a new live one. */
  restore(identity: Identity, ref: ObjectRef, query: Query): JsonObject {
    const context = this.#context;
    const { bucket, object } = this.#softDeleted(identity, ref, query);
    demand(context, identity, { permission: 'storage.objects.restore', bucket, object: ref.name });
    checkPreconditions(query, liveObject(context, bucket, ref.name));
    const key = versionKey(bucket, object.name, object.generation);
    const bytes = bytesOf(context, bucket, object);
    const { fields, storageClass, componentCount, name } = object;
    const restored = writeObject(context, bucket, { name, bytes, fields, storageClass, componentCount });
    context.tables.deletedObjects.delete(key);
    context.tables.blobs.delete(key);
    return objectResource(bucket, restored);
  }

  #forUpdate(identity: Identity, ref: ObjectRef, query: Query): FoundObject {
    const bucket = this.#buckets.existing(ref.bucket);
    demand(this.#context, identity, { permission: 'storage.objects.update', bucket, object: ref.name });
    const object = findObject(this.#context, bucket, { name: ref.name, generation: int64(query, 'generation') });
    if (object === undefined) throw this.#missing(identity, bucket, ref.name);
    checkPreconditions(query, object);
    return { bucket, object };
  }

  #store(identity: Identity, found: FoundObject, change: { query: Query; wanted: JsonObject }): JsonObject {
    const context = this.#context;
    const { bucket, object } = found;
    const override = boolean(change.query, 'overrideUnlockedRetention');
    const about = { bucket, object: object.name };
    if (override) demand(context, identity, { permission: 'storage.objects.overrideUnlockedRetention', ...about });
    const nowMs = context.clock.now();
    const fields = normaliseObjectFields(change.wanted, {
      nowMs,
      previous: object.fields,
      retentionAllowed: bucket.objectRetention,
      override,
    });
    if (!sameJson(fields['retention'], object.fields['retention']))
      demand(context, identity, { permission: 'storage.objects.setRetention', ...about });
    if (sameJson(fields, object.fields)) return objectResource(bucket, object);
    context.rates.take('objectWrite', `${bucket.name}/${object.name}`);
    const changed = { ...object, fields, metageneration: object.metageneration + 1, updatedMs: nowMs };
    replaceRecord(context, bucket, changed);
    return objectResource(bucket, changed);
  }

  #softDeleted(identity: Identity, ref: ObjectRef, query: Query): FoundObject {
    const bucket = this.#buckets.existing(ref.bucket);
    demand(this.#context, identity, { permission: 'storage.objects.get', bucket, object: ref.name });
    const generation = int64(query, 'generation');
    if (generation === undefined) throw required('generation');
    const object = this.#context.tables.deletedObjects.get(versionKey(bucket, ref.name, generation));
    if (object === undefined) throw this.#missing(identity, bucket, ref.name);
    return { bucket, object };
  }

  /** Who may not list learns nothing about what is absent. */
  #missing(identity: Identity, bucket: BucketRecord, name: string): Error {
    if (may(this.#context, identity, { permission: 'storage.objects.list', bucket }))
      return objectMissing(bucket.name, name);
    const who = identity.kind === 'account' ? identity.email : 'Anonymous caller';
    return forbidden(
      `${who} does not have storage.objects.list access to the Google Cloud Storage bucket. Permission 'storage.objects.list' denied on resource (or it may not exist).`,
    );
  }
}

function writable(body: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(body).filter(([field]) => OBJECT_FIELDS.has(field)));
}

/** The class of a new object: its own wish, else the bucket's. */
export function storageClassFor(bucket: BucketRecord, fields: JsonObject): string {
  const wanted = fields['storageClass'] ?? bucket.fields['storageClass'];
  const known = STORAGE_CLASSES.find((name) => name === wanted);
  if (known === undefined)
    throw invalid(`Invalid storage class: ${JSON.stringify(wanted)}; use one of ${STORAGE_CLASSES.join(', ')}`);
  return known;
}

/** A caller that states a checksum wants the write refused if the bytes differ. */
function checkDeclaredHashes(fields: JsonObject, bytes: Buffer): void {
  const declared = isObject(fields) ? fields : {};
  const { crc32c, md5Hash } = declared;
  if (typeof crc32c === 'string' && crc32c !== crc32cBase64(bytes)) {
    throw invalid(`Provided CRC32C "${crc32c}" doesn't match calculated CRC32C "${crc32cBase64(bytes)}".`);
  }
  if (typeof md5Hash === 'string' && md5Hash !== md5Base64(bytes)) {
    throw invalid(`Provided MD5 hash "${md5Hash}" doesn't match calculated MD5 hash "${md5Base64(bytes)}".`);
  }
}
