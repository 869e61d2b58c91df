// Resumable uploads: a session that takes bytes in pieces. Wire facts: gcp-aws §2.5.
//
// 1. A session URL is a capability: whoever has it writes as the one who began it.
// 2. Bytes are kept piece by piece; the object appears, with all its checks repeated, when the last byte is there.

import type { CloudResponse } from '#hack/cloud/door.ts';
import type { Identity } from '#hack/cloud/iam/model.ts';
import { textOf, type JsonObject } from '#hack/cloud/json.ts';
import { randomId, type GcsContext, type UploadRecord } from './context.ts';
import { GcsError, invalid } from './errors.ts';
import type { InsertRequest, Objects } from './objects.ts';

/** Every piece but the last is a multiple of this. */
const CHUNK_BYTES = 262_144;
/** A session is forgotten after a week. */
export const SESSION_MS_MAX = 7 * 86_400_000;

interface Range {
  /** Undefined: the caller only asks how far it got. */
  readonly start: number | undefined;
  readonly total: number | undefined;
  /** The end was not known when the request began ("0-*"): the body's end is the object's. */
  readonly openEnded: boolean;
}

export class Uploads {
  readonly #context: GcsContext;
  readonly #objects: Objects;

  constructor(context: GcsContext, objects: Objects) {
    this.#context = context;
    this.#objects = objects;
  }

  /** Opens a session; answers its id. */
  begin(identity: Identity, request: Omit<InsertRequest, 'bytes'>): string {
    const context = this.#context;
    this.#objects.admitInsert(identity, request);
    const upload: UploadRecord = {
      id: randomId(context),
      kind: 'resumable',
      bucket: request.bucket,
      name: request.name,
      createdMs: context.clock.now(),
      fields: request.fields,
      query: request.query.toString(),
      caller: identity,
      received: 0,
      state: 'open',
    };
    context.tables.uploads.set(upload.id, upload);
    return upload.id;
  }

  /** Takes a piece, or answers how far the session got: 308 with Range, or 200 with the object once it is complete. */
  put(id: string, contentRange: string | undefined, bytes: Buffer): CloudResponse {
    const upload = this.#existing(id);
    if (upload.state === 'done') return this.#finished(upload);
    const range = parseRange(contentRange);
    if (range.start === undefined && contentRange !== undefined) {
      return range.total !== undefined && range.total === upload.received ? this.#complete(upload) : incomplete(upload);
    }
    const start = range.start ?? 0;
    if (start > upload.received) {
      throw invalid(
        `Invalid request. According to the Content-Range header, the upload offset is ${start} byte(s), which exceeds already uploaded size of ${upload.received} byte(s).`,
      );
    }
    const fresh = bytes.subarray(upload.received - start);
    const isLast =
      range.openEnded ||
      contentRange === undefined ||
      (range.total !== undefined && start + bytes.length === range.total);
    if (isLast) return this.#complete(this.#store(upload, fresh));
    if (range.total !== undefined && start + bytes.length > range.total)
      throw invalid('Invalid request. More bytes were sent than the Content-Range header states.');
    const whole = fresh.length - (fresh.length % CHUNK_BYTES);
    if (whole === 0) {
      throw invalid(
        `Invalid request. The number of bytes uploaded is required to be equal or greater than ${CHUNK_BYTES}, except for the final request (it's recommended to be the exact multiple of ${CHUNK_BYTES}). The received request contained ${bytes.length} bytes, which does not meet this requirement.`,
      );
    }
    return incomplete(this.#store(upload, fresh.subarray(0, whole)));
  }

  /** Drops the session and its bytes; it answers 499 from now on, this call included. */
  cancel(id: string): CloudResponse {
    const upload = this.#existing(id);
    if (upload.state === 'open') {
      this.#dropParts(id);
      this.#context.tables.uploads.set(id, { ...upload, state: 'cancelled', received: 0 });
    }
    return { status: 499, headers: { 'content-type': 'text/plain' } };
  }

  /** Forgets sessions older than a week. */
  expire(nowMs: number): void {
    const old = [...this.#context.tables.uploads.entries()].filter(
      ([, upload]) => upload.kind === 'resumable' && upload.createdMs + SESSION_MS_MAX <= nowMs,
    );
    for (const [id] of old) {
      this.#dropParts(id);
      this.#context.tables.uploads.delete(id);
    }
  }

  #existing(id: string): UploadRecord {
    const upload = this.#context.tables.uploads.get(id);
    if (upload?.kind !== 'resumable')
      throw new GcsError({
        status: 404,
        reason: 'notFound',
        message: 'Upload session not found.',
        xmlCode: 'NoSuchUpload',
      });
    if (upload.state === 'cancelled')
      throw new GcsError({
        status: 499,
        reason: 'cancelled',
        message: 'The upload was cancelled.',
        xmlCode: 'NoSuchUpload',
      });
    return upload;
  }

  #store(upload: UploadRecord, bytes: Buffer): UploadRecord {
    if (bytes.length === 0) return upload;
    this.#context.tables.parts.set(`${upload.id}/${String(upload.received).padStart(15, '0')}`, bytes);
    const grown = { ...upload, received: upload.received + bytes.length };
    this.#context.tables.uploads.set(upload.id, grown);
    return grown;
  }

  #complete(upload: UploadRecord): CloudResponse {
    const { parts, uploads } = this.#context.tables;
    const bytes = Buffer.concat(parts.keys(upload.id).flatMap((key) => parts.get(key) ?? []));
    const query = new URLSearchParams(upload.query);
    const body = this.#objects.insert(upload.caller, {
      bucket: upload.bucket,
      name: upload.name,
      query,
      fields: upload.fields,
      bytes,
    });
    this.#dropParts(upload.id);
    uploads.set(upload.id, { ...upload, state: 'done', generation: textOf(body['generation']) });
    return { status: 200, headers: {}, body };
  }

  #finished(upload: UploadRecord): CloudResponse {
    const query = new URLSearchParams(upload.generation === undefined ? {} : { generation: upload.generation });
    const body: JsonObject = this.#objects.get(upload.caller, { bucket: upload.bucket, name: upload.name }, query);
    return { status: 200, headers: {}, body };
  }

  #dropParts(id: string): void {
    for (const key of this.#context.tables.parts.keys(id)) this.#context.tables.parts.delete(key);
  }
}

function incomplete(upload: UploadRecord): CloudResponse {
  return { status: 308, headers: upload.received === 0 ? {} : { range: `bytes=0-${upload.received - 1}` } };
}

/** "bytes 0-9/10", "bytes 0-9/*", "bytes 0-*\/*", "bytes *\/10", "bytes *\/*". */
function parseRange(header: string | undefined): Range {
  if (header === undefined) return { start: undefined, total: undefined, openEnded: true };
  const match = /^bytes (?:\*|(\d+)-(\d+|\*))\/(\d+|\*)$/.exec(header.trim());
  if (match === null) throw invalid(`Failed to parse Content-Range header: ${header}`);
  const [, start, end, total] = match;
  return {
    start: start === undefined ? undefined : Number(start),
    total: total === undefined || total === '*' ? undefined : Number(total),
    openEnded: end === '*',
  };
}
