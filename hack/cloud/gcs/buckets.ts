// Buckets: create, read, change, delete, restore, lock. Wire facts: gcp-aws §2.1 to §2.4.

import type { Identity } from '#hack/cloud/iam/model.ts';
import { counterEtag, type Binding } from '#hack/cloud/iam/policy.ts';
import { isObject, mergePatch, withoutNull, type Json, type JsonObject } from '#hack/cloud/json.ts';
import { demand, demandOnProject, may } from './access.ts';
import { isoTime, normaliseFields, sameFields, WRITABLE_FIELDS, type BucketFields } from './bucket-fields.ts';
import { nextGeneration, objectGroup, type BucketRecord, type GcsContext } from './context.ts';
import { ACCESS_LISTS, bucketMissing, conflict, forbidden, invalid, notModelled, required } from './errors.ts';
import { bucketNameProblem, needsDomainProof } from './names.ts';
import {
  boolean,
  checkPreconditions,
  decodePageToken,
  encodePageToken,
  int64,
  pageSize,
  type Query,
} from './preconditions.ts';

const ALREADY_YOURS = 'Your previous request to create the named bucket succeeded and you already own it.';
const TAKEN =
  'The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.';
const LEGACY_ACL =
  'Cannot use ACL API to update bucket policy when uniform bucket-level access is enabled. Read more at https://cloud.google.com/storage/docs/uniform-bucket-level-access';

/** The operations on buckets. Each checks the caller's permission itself and throws GcsError. */
export class Buckets {
  readonly #context: GcsContext;

  constructor(context: GcsContext) {
    this.#context = context;
  }

  insert(identity: Identity, query: Query, body: JsonObject): JsonObject {
    const context = this.#context;
    const project = query.get('project');
    if (project === null || project === '') throw required('project');
    demandOnProject(context, identity, { permission: 'storage.buckets.create', project });
    const name = readName(body['name']);
    if (needsDomainProof(name))
      throw forbidden('The bucket you tried to create is a domain name owned by another user.');
    const nowMs = context.clock.now();
    const fields = normaliseFields(withoutNull(writable(body)), { name, nowMs, previous: undefined });
    refuseLegacyAcl(fields, query, body);
    const existing = context.tables.buckets.get(name);
    if (existing !== undefined)
      throw existing.project === project ? conflict(ALREADY_YOURS, 'BucketAlreadyOwnedByYou') : conflict(TAKEN);
    context.rates.take('bucketLifecycle', project);
    const bucket: BucketRecord = {
      name,
      project,
      generation: nextGeneration(context),
      metageneration: 1,
      createdMs: nowMs,
      updatedMs: nowMs,
      objectRetention: boolean(query, 'enableObjectRetention'),
      fields,
      policy: { version: 1, revision: 1, bindings: defaultBindings(project, fields) },
    };
    context.tables.buckets.set(name, bucket);
    return this.resource(bucket);
  }

  get(identity: Identity, name: string, query: Query): JsonObject {
    if (boolean(query, 'softDeleted')) return this.resource(this.#deleted(identity, name, query));
    const bucket = this.existing(name);
    demand(this.#context, identity, { permission: 'storage.buckets.get', bucket });
    checkPreconditions(query, bucket, { read: true });
    return this.resource(bucket);
  }

  list(identity: Identity, query: Query): JsonObject {
    const context = this.#context;
    const project = query.get('project');
    if (project === null || project === '') throw required('project');
    demandOnProject(context, identity, { permission: 'storage.buckets.list', project });
    const table = boolean(query, 'softDeleted') ? context.tables.deletedBuckets : context.tables.buckets;
    const prefix = query.get('prefix') ?? '';
    const after = decodePageToken(query);
    const size = pageSize(query);
    const items: JsonObject[] = [];
    let last = '';
    for (const key of table.keys()) {
      const bucket = table.get(key);
      if (bucket?.project !== project || !key.startsWith(prefix) || (after !== undefined && key <= after)) continue;
      if (items.length === size) return { kind: 'storage#buckets', items, nextPageToken: encodePageToken(last) };
      items.push(this.resource(bucket));
      last = key;
    }
    return items.length === 0 ? { kind: 'storage#buckets' } : { kind: 'storage#buckets', items };
  }

  /** PATCH: a JSON merge patch of the writable fields. Nothing new leaves metageneration alone. */
  patch(identity: Identity, name: string, change: { query: Query; body: JsonObject }): JsonObject {
    const bucket = this.existing(name);
    const wanted = mergePatch(bucket.fields, writable(change.body)) as JsonObject;
    return this.#change(identity, bucket, { ...change, wanted });
  }

  /** PUT: what the body leaves out returns to its default. */
  update(identity: Identity, name: string, change: { query: Query; body: JsonObject }): JsonObject {
    return this.#change(identity, this.existing(name), { ...change, wanted: withoutNull(writable(change.body)) });
  }

  delete(identity: Identity, name: string, query: Query): void {
    const context = this.#context;
    const bucket = this.existing(name);
    demand(context, identity, { permission: 'storage.buckets.delete', bucket });
    checkPreconditions(query, bucket);
    if (this.#holdsSomething(bucket)) throw conflict('The bucket you tried to delete is not empty.', 'BucketNotEmpty');
    context.rates.take('bucketLifecycle', bucket.project);
    context.tables.buckets.delete(name);
    const keepMs = softDeleteMs(bucket);
    if (keepMs === 0) return;
    const nowMs = context.clock.now();
    context.tables.deletedBuckets.set(objectGroup(bucket), {
      ...bucket,
      deleted: { softMs: nowMs, hardMs: nowMs + keepMs },
    });
  }

  restore(identity: Identity, name: string, query: Query): JsonObject {
    const context = this.#context;
    const gone = this.#deleted(identity, name, query);
    demand(context, identity, { permission: 'storage.buckets.restore', bucket: gone });
    if (context.tables.buckets.get(name) !== undefined) throw conflict(TAKEN);
    context.rates.take('bucketLifecycle', gone.project);
    const { deleted: _deleted, ...rest } = gone;
    const bucket: BucketRecord = { ...rest, metageneration: gone.metageneration + 1, updatedMs: context.clock.now() };
    context.tables.deletedBuckets.delete(objectGroup(gone));
    context.tables.buckets.set(name, bucket);
    return this.resource(bucket);
  }

  lockRetentionPolicy(identity: Identity, name: string, query: Query): JsonObject {
    const context = this.#context;
    const bucket = this.existing(name);
    demand(context, identity, { permission: 'storage.buckets.update', bucket });
    if (int64(query, 'ifMetagenerationMatch') === undefined) throw required('ifMetagenerationMatch');
    checkPreconditions(query, bucket);
    const policy = bucket.fields['retentionPolicy'];
    if (!isObject(policy)) throw invalid(`Bucket '${name}' has no retention policy to lock.`);
    if (policy['isLocked'] === true) return this.resource(bucket);
    return this.#store(bucket, { ...bucket.fields, retentionPolicy: { ...policy, isLocked: true } });
  }

  /** The live bucket, for all who may know that it exists. Throws 404. */
  existing(name: string): BucketRecord {
    const bucket = this.#context.tables.buckets.get(name);
    if (bucket === undefined) throw bucketMissing();
    return bucket;
  }

  /** The bucket as it is read back. */
  resource(bucket: BucketRecord): JsonObject {
    return {
      kind: 'storage#bucket',
      id: bucket.name,
      name: bucket.name,
      selfLink: `https://www.googleapis.com/storage/v1/b/${bucket.name}`,
      projectNumber: this.#context.iam.projects.get(bucket.project)?.number ?? '0',
      generation: bucket.generation,
      metageneration: String(bucket.metageneration),
      etag: counterEtag(bucket.metageneration),
      timeCreated: isoTime(bucket.createdMs),
      updated: isoTime(bucket.updatedMs),
      ...bucket.fields,
      ...(bucket.objectRetention ? { objectRetention: { mode: 'Enabled' } } : {}),
      ...(bucket.deleted === undefined
        ? {}
        : { softDeleteTime: isoTime(bucket.deleted.softMs), hardDeleteTime: isoTime(bucket.deleted.hardMs) }),
    };
  }

  /** Live and noncurrent objects and unfinished multipart uploads keep a bucket; soft-deleted objects do not. */
  #holdsSomething(bucket: BucketRecord): boolean {
    const group = objectGroup(bucket);
    const { objects, versions, uploads } = this.#context.tables;
    if (objects.hasGroup(group) || versions.hasGroup(group)) return true;
    return [...uploads.entries()].some(
      ([, upload]) => upload.bucket === bucket.name && upload.kind === 'multipart' && upload.state === 'open',
    );
  }

  #deleted(identity: Identity, name: string, query: Query): BucketRecord {
    const generation = int64(query, 'generation');
    if (generation === undefined) throw required('generation');
    const bucket = this.#context.tables.deletedBuckets.get(`${name}#${generation}`);
    if (bucket === undefined) throw bucketMissing();
    if (!may(this.#context, identity, { permission: 'storage.buckets.get', bucket })) throw bucketMissing();
    return bucket;
  }

  #change(
    identity: Identity,
    bucket: BucketRecord,
    change: { query: Query; body: JsonObject; wanted: JsonObject },
  ): JsonObject {
    const context = this.#context;
    demand(context, identity, { permission: 'storage.buckets.update', bucket });
    checkPreconditions(change.query, bucket);
    const fields = normaliseFields(change.wanted, {
      name: bucket.name,
      nowMs: context.clock.now(),
      previous: bucket.fields,
    });
    refuseLegacyAcl(fields, change.query, change.body);
    context.rates.take('bucketUpdate', bucket.name);
    return sameFields(fields, bucket.fields) ? this.resource(bucket) : this.#store(bucket, fields);
  }

  #store(bucket: BucketRecord, fields: BucketFields): JsonObject {
    const changed = {
      ...bucket,
      fields,
      metageneration: bucket.metageneration + 1,
      updatedMs: this.#context.clock.now(),
    };
    this.#context.tables.buckets.set(bucket.name, changed);
    return this.resource(changed);
  }
}

function readName(name: Json | undefined): string {
  if (typeof name !== 'string' || name === '') throw required('name');
  const problem = bucketNameProblem(name);
  if (problem !== undefined) throw invalid(problem);
  return name;
}

function writable(body: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(body).filter(([field]) => WRITABLE_FIELDS.has(field)));
}

function refuseLegacyAcl(fields: BucketFields, query: Query, body: JsonObject): void {
  const asked =
    query.has('predefinedAcl') ||
    query.has('predefinedDefaultObjectAcl') ||
    Array.isArray(body['acl']) ||
    Array.isArray(body['defaultObjectAcl']);
  if (!asked) return;
  throw usesUniformAccess(fields) ? invalid(LEGACY_ACL) : notModelled(ACCESS_LISTS);
}

/** Whether access is by policy alone. */
export function usesUniformAccess(fields: BucketFields): boolean {
  const configuration = fields['iamConfiguration'];
  const uniform = isObject(configuration) ? configuration['uniformBucketLevelAccess'] : undefined;
  return isObject(uniform) && uniform['enabled'] === true;
}

/** How long what is deleted in this bucket can be restored, in milliseconds; 0: not at all. */
export function softDeleteMs(bucket: BucketRecord): number {
  const policy = bucket.fields['softDeletePolicy'];
  return isObject(policy) ? Number(policy['retentionDurationSeconds']) * 1_000 : 0;
}

/** The policy that every new bucket has: its project's owners, editors and viewers. */
function defaultBindings(project: string, fields: BucketFields): Binding[] {
  const writers = [`projectEditor:${project}`, `projectOwner:${project}`];
  const readers = [`projectViewer:${project}`];
  const bucketRoles = [
    { role: 'roles/storage.legacyBucketOwner', members: writers },
    { role: 'roles/storage.legacyBucketReader', members: readers },
  ];
  if (!usesUniformAccess(fields)) return bucketRoles;
  return [
    ...bucketRoles,
    { role: 'roles/storage.legacyObjectOwner', members: writers },
    { role: 'roles/storage.legacyObjectReader', members: readers },
  ];
}
