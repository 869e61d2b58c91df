import { z } from 'zod';
import { ProviderError } from '#controller/contract.ts';
import type { JsonObject } from '#resources/json.ts';
import { noAnswer, unclassified } from '#reconcilers/providers/http-errors.ts';
import { gcsError, isNotFound, refusalOf } from './errors.ts';
import { parseBucket, parseObject, parseObjects, parseOwnBucket, parsePolicy } from './replies.ts';
import type { BucketView, ObjectPage, ObjectView, PolicyView } from './replies.ts';
import { gcsPath } from './transport.ts';
import type { GcsReply, GcsRequest, GcsTransport } from './transport.ts';

/** What a look for a bucket by name can see. `foreign`: it exists and is not in our project, so that we may not even read it. */
export type BucketSight =
  | { readonly found: 'absent' }
  | { readonly found: 'foreign' }
  | { readonly found: 'readable'; readonly bucket: BucketView };

/**
 * Cloud Storage in the operations that reconcilers need. Every method sends at most once what changes anything, throws ProviderError as
 * the provider's table says, and answers null (or "absent") only if the server itself said that the thing does not exist.
 */
export class GcsClient {
  /** The provider account: a project id. */
  readonly project: string;
  readonly #transport: GcsTransport;

  constructor(transport: GcsTransport, project: string) {
    this.#transport = transport;
    this.project = project;
  }

  /**
   * Looks for a bucket by name. A 403 may be a stranger's bucket or a broken credential of ours; our project's own list decides, so that
   * a stranger's bucket never counts against our credential. Throws PermissionDenied if the list is refused, or if it holds the bucket.
   * `sure`: a bucket that is not found must be missing in our project's list too, else ProviderConflict: one false 404 must not let a row
   * go whose bucket is still there.
   */
  async look(name: string, how: { sure: boolean; signal: AbortSignal }): Promise<BucketSight> {
    const { signal } = how;
    const reply = await this.#send({ method: 'GET', path: gcsPath`/b/${name}`, query: {} }, signal);
    const refusal = refusalOf(reply);
    if (refusal === null) return { found: 'readable', bucket: named(parsed(reply, 'buckets.get', parseBucket), name) };
    if (isNotFound(refusal)) {
      if (how.sure && (await this.#ownBucket(name, signal)) !== null) throw contradiction();
      return { found: 'absent' };
    }
    const error = gcsError(reply, 'buckets.get');
    if (error.detail.reason !== 'PermissionDenied') throw error;
    if ((await this.#ownBucket(name, signal)) !== null) throw error;
    return { found: 'foreign' };
  }

  async #ownBucket(name: string, signal: AbortSignal): Promise<BucketView | null> {
    // The exact name is the first in the order of names with that prefix.
    const query = { project: this.project, prefix: name, maxResults: '1' };
    return this.#call(
      'buckets.list',
      { method: 'GET', path: '/b', query },
      { signal, parse: (body) => parseOwnBucket(body, name) },
    );
  }

  /** Creates a bucket; `body` holds name and location. A name that is taken is ProviderConflict: the next look decides whose it is. */
  async create(body: JsonObject, options: { objectRetention: boolean }, signal: AbortSignal): Promise<BucketView> {
    const query = { project: this.project, ...(options.objectRetention ? { enableObjectRetention: 'true' } : {}) };
    return this.#call('buckets.insert', { method: 'POST', path: '/b', query, body }, { signal, parse: parseBucket });
  }

  /** Merge patch of a bucket: null clears. Refused (ProviderConflict) unless the bucket is at that metageneration. */
  async patch(
    name: string,
    change: { patch: JsonObject; metageneration: string },
    signal: AbortSignal,
  ): Promise<BucketView> {
    const query = { ifMetagenerationMatch: change.metageneration };
    const request: GcsRequest = { method: 'PATCH', path: gcsPath`/b/${name}`, query, body: change.patch };
    return this.#call('buckets.patch', request, { signal, parse: parseBucket });
  }

  /** Locks the retention for ever. Refused unless the bucket is at that metageneration. */
  async lockRetention(name: string, metageneration: string, signal: AbortSignal): Promise<BucketView> {
    const query = { ifMetagenerationMatch: metageneration };
    const request: GcsRequest = { method: 'POST', path: gcsPath`/b/${name}/lockRetentionPolicy`, query };
    return this.#call('buckets.lockRetentionPolicy', request, { signal, parse: parseBucket });
  }

  /** Deletes an empty bucket at that metageneration. Gone already is done; not empty is ProviderConflict. */
  async delete(name: string, metageneration: string, signal: AbortSignal): Promise<void> {
    const query = { ifMetagenerationMatch: metageneration };
    const reply = await this.#send({ method: 'DELETE', path: gcsPath`/b/${name}`, query }, signal);
    accepted(reply, 'buckets.delete');
  }

  /** The bucket's IAM policy with conditions (version 3), or null if there is no such bucket. */
  async policy(name: string, signal: AbortSignal): Promise<PolicyView | null> {
    const query = { optionsRequestedPolicyVersion: '3' };
    const reply = await this.#send({ method: 'GET', path: gcsPath`/b/${name}/iam`, query }, signal);
    return orNull(reply, 'buckets.getIamPolicy', parsePolicy);
  }

  /** Replaces the IAM policy. Refused (ProviderConflict) if it changed since its etag was read. */
  async setPolicy(name: string, policy: PolicyView, signal: AbortSignal): Promise<PolicyView> {
    const body: JsonObject = {
      etag: policy.etag,
      version: 3,
      bindings: policy.bindings.map(({ role, members, condition }) => ({
        role,
        members,
        ...(condition === null ? {} : { condition }),
      })),
    };
    const request: GcsRequest = { method: 'PUT', path: gcsPath`/b/${name}/iam`, query: {}, body };
    return this.#call('buckets.setIamPolicy', request, { signal, parse: parsePolicy });
  }

  /** One page of objects, oldest name first. `versions`: noncurrent ones too. Null: no such bucket. */
  async objects(name: string, page: ObjectsQuery, signal: AbortSignal): Promise<ObjectPage | null> {
    const query = {
      maxResults: String(page.limit),
      ...(page.versions === true ? { versions: 'true' } : {}),
      ...(page.prefix === undefined ? {} : { prefix: page.prefix }),
      ...(page.cursor === undefined ? {} : { pageToken: page.cursor }),
    };
    const reply = await this.#send({ method: 'GET', path: gcsPath`/b/${name}/o`, query }, signal);
    return orNull(reply, 'objects.list', parseObjects);
  }

  /** An object's metadata: the generation named, or the live one. Null: no such object, or no such bucket. */
  async object(
    name: string,
    key: string,
    options: { generation?: string; signal: AbortSignal },
  ): Promise<ObjectView | null> {
    const query = options.generation === undefined ? {} : { generation: options.generation };
    const reply = await this.#send({ method: 'GET', path: gcsPath`/b/${name}/o/${key}`, query }, options.signal);
    return orNull(reply, 'objects.get', parseObject);
  }

  /**
   * Deletes one object. `generation`: that version for ever; `ifGeneration`: the live one, only if it still is that. Gone already is done.
   * Under a retention or a hold it throws RetentionUntil.
   */
  async deleteObject(name: string, object: ObjectName, signal: AbortSignal): Promise<void> {
    const query =
      object.generation === undefined ? { ifGenerationMatch: object.ifGeneration } : { generation: object.generation };
    const reply = await this.#send({ method: 'DELETE', path: gcsPath`/b/${name}/o/${object.key}`, query }, signal);
    accepted(reply, 'objects.delete');
  }

  async #call<T>(
    op: string,
    request: GcsRequest,
    how: { signal: AbortSignal; parse: (body: unknown) => T },
  ): Promise<T> {
    return parsed(await this.#send(request, how.signal), op, how.parse);
  }

  async #send(request: GcsRequest, signal: AbortSignal): Promise<GcsReply> {
    try {
      return await this.#transport(request, signal);
    } catch (error) {
      throw noAnswer(error);
    }
  }
}

export interface ObjectsQuery {
  /** 1 to 1000. */
  readonly limit: number;
  readonly prefix?: string;
  readonly versions?: boolean;
  readonly cursor?: string;
}

export type ObjectName =
  | { readonly key: string; readonly generation: string; readonly ifGeneration?: undefined }
  | { readonly key: string; readonly generation?: undefined; readonly ifGeneration: string };

/** The parsed body of a success. Throws the table's error, or ProviderErrorUnclassified if the body is not what it should be. */
function parsed<T>(reply: GcsReply, op: string, parse: (body: unknown) => T): T {
  if (refusalOf(reply) !== null) throw gcsError(reply, op);
  try {
    return parse(reply.body);
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    const where = error.issues[0]?.path.join('.') ?? '';
    throw unclassified(
      `Cloud Storage's answer to ${op} could not be read at "${where}".`,
      `${reply.status} unreadable`,
    );
  }
}

function orNull<T>(reply: GcsReply, op: string, parse: (body: unknown) => T): T | null {
  const refusal = refusalOf(reply);
  return refusal !== null && isNotFound(refusal) ? null : parsed(reply, op, parse);
}

/** A deletion's answer: 204 without a body, or "not found" from the server itself. A page of a proxy with 200 is neither. */
function accepted(reply: GcsReply, op: string): void {
  const refusal = refusalOf(reply);
  if (refusal !== null && !isNotFound(refusal)) throw gcsError(reply, op);
  if (refusal === null && !isEmpty(reply.body)) throw unreadable(reply, op);
}

function isEmpty(body: unknown): boolean {
  return (
    body === undefined || body === null || body === '' || (typeof body === 'object' && Object.keys(body).length === 0)
  );
}

function unreadable(reply: GcsReply, op: string): ProviderError {
  return unclassified(`Cloud Storage's answer to ${op} could not be read.`, `${reply.status} unreadable`);
}

function contradiction(): ProviderError {
  return new ProviderError('Cloud Storage does not find a bucket that its own list shows.', {
    verdict: 'retryable',
    reason: 'ProviderConflict',
    outcome: 'not-done',
    providerCode: '404 but listed',
  });
}

/** The bucket asked for, and no other: an answer about something else proves nothing. */
function named(bucket: BucketView, name: string): BucketView {
  if (bucket.name === name) return bucket;
  throw unclassified('Cloud Storage answered about another bucket than the one asked for.', '200 other bucket');
}
