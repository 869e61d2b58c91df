// Server-side copies: compose, rewrite, copy, move.

import type { Identity } from '#hack/cloud/iam/model.ts';
import { isObject, textOf, type Json, type JsonObject } from '#hack/cloud/json.ts';
import type { GcsContext } from './context.ts';
import { invalid, required } from './errors.ts';
import { OBJECT_FIELDS } from './object-fields.ts';
import { bytesOf } from './object-store.ts';
import type { ObjectRef, Objects } from './objects.ts';
import { checkPreconditions, int64, type Query } from './preconditions.ts';

/** Source objects of one compose call. */
const COMPONENTS_MAX = 32;

export interface CopyRequest {
  readonly source: ObjectRef;
  readonly target: ObjectRef;
  readonly query: Query;
  readonly body: JsonObject;
}

/** The operations that write one object from others. */
export class ObjectCopies {
  readonly #context: GcsContext;
  readonly #objects: Objects;

  constructor(context: GcsContext, objects: Objects) {
    this.#context = context;
    this.#objects = objects;
  }

  /** Concatenates up to 32 objects of the same bucket. The result has a CRC32C but no MD5. */
  compose(identity: Identity, target: ObjectRef, request: { query: Query; body: JsonObject }): JsonObject {
    const sources = request.body['sourceObjects'];
    if (!Array.isArray(sources) || sources.length === 0) throw required('sourceObjects');
    if (sources.length > COMPONENTS_MAX)
      throw invalid(
        `The number of source components provided (${sources.length}) exceeds the maximum (${COMPONENTS_MAX})`,
      );
    let components = 0;
    const parts = (sources as Json[]).map((source) => {
      const found = this.#component(identity, target.bucket, source);
      components += found.object.componentCount ?? 1;
      return found;
    });
    const destination = isObject(request.body['destination']) ? request.body['destination'] : {};
    const contentType = parts[0]?.object.fields['contentType'];
    const bytes = Buffer.concat(parts.map((part) => part.bytes));
    const fields = { ...(contentType === undefined ? {} : { contentType }), ...withoutHashes(destination) };
    return this.#objects.insert(identity, {
      ...target,
      query: request.query,
      fields,
      bytes,
      componentCount: components,
    });
  }

  /** rewriteTo: copies in one go, so `done` is always true and no token is given. */
  rewrite(identity: Identity, request: CopyRequest): JsonObject {
    const resource = this.copy(identity, request);
    const size = textOf(resource['size']);
    return { kind: 'storage#rewriteResponse', totalBytesRewritten: size, objectSize: size, done: true, resource };
  }

  /** copyTo: the source's metadata, unless the body brings any of its own. */
  copy(identity: Identity, request: CopyRequest): JsonObject {
    const { source, target } = request;
    const generation = int64(request.query, 'sourceGeneration');
    const sourceQuery = new URLSearchParams(generation === undefined ? {} : { generation });
    const { bucket, object } = this.#objects.find(identity, source, sourceQuery);
    checkPreconditions(request.query, object, { read: false, prefix: 'Source' });
    const given = withoutHashes(request.body);
    const own = Object.keys(given).some((field) => OBJECT_FIELDS.has(field));
    // A retention or hold protects the source only; the copy starts free.
    const {
      retention: _retention,
      temporaryHold: _temporary,
      eventBasedHold: _eventBased,
      ...inherited
    } = object.fields;
    const fields = own ? given : { ...inherited, ...given };
    const bytes = bytesOf(this.#context, bucket, object);
    return this.#objects.insert(identity, {
      ...target,
      query: request.query,
      fields,
      bytes,
      componentCount: object.componentCount,
    });
  }

  /** moveTo: the object under another name of its bucket, metadata and all; the source is deleted in the same step. */
  move(identity: Identity, request: CopyRequest): JsonObject {
    if (request.source.name === request.target.name) throw invalid('Source and destination are the same object.');
    const { bucket, object } = this.#objects.find(identity, request.source, new URLSearchParams());
    checkPreconditions(request.query, object, { read: false, prefix: 'Source' });
    const { componentCount, fields } = object;
    const bytes = bytesOf(this.#context, bucket, object);
    const moved = this.#objects.insert(identity, {
      ...request.target,
      query: request.query,
      fields,
      bytes,
      componentCount,
    });
    this.#objects.delete(identity, request.source, new URLSearchParams());
    return moved;
  }

  #component(identity: Identity, bucket: string, source: Json): ReturnType<Objects['read']> {
    const name = isObject(source) ? source['name'] : undefined;
    if (!isObject(source) || typeof name !== 'string') throw required('sourceObjects.name');
    const wanted = new URLSearchParams();
    const generation = source['generation'];
    if (typeof generation === 'string' || typeof generation === 'number') wanted.set('generation', String(generation));
    const conditions = source['objectPreconditions'];
    const match = isObject(conditions) ? conditions['ifGenerationMatch'] : undefined;
    const found = this.#objects.read(identity, { bucket, name }, wanted);
    if (match !== undefined)
      checkPreconditions(new URLSearchParams({ ifGenerationMatch: textOf(match) }), found.object);
    return found;
  }
}

function withoutHashes(fields: JsonObject): JsonObject {
  const { crc32c: _crc32c, md5Hash: _md5Hash, ...rest } = fields;
  return rest;
}
