// An object as it is read back: metadata as JSON, contents as an HTTP answer.

import { gunzipSync } from 'node:zlib';
import type { CloudRequest, CloudResponse } from '#hack/cloud/door.ts';
import { counterEtag } from '#hack/cloud/iam/policy.ts';
import { isObject, type Json, type JsonObject } from '#hack/cloud/json.ts';
import { isoTime } from './bucket-fields.ts';
import type { BucketRecord, ObjectRecord } from './context.ts';
import { GcsError } from './errors.ts';
import { policyExpiryMs } from './protection.ts';

const API = 'https://www.googleapis.com';

/** The JSON API's object resource. `mediaLink` is at the provider's own host: see linkedTo. */
export function objectResource(bucket: BucketRecord, object: ObjectRecord): JsonObject {
  const encoded = encodeURIComponent(object.name);
  const path = `/storage/v1/b/${object.bucket}/o/${encoded}`;
  const expiryMs = policyExpiryMs(bucket, object);
  return {
    kind: 'storage#object',
    id: `${object.bucket}/${object.name}/${object.generation}`,
    selfLink: `${API}${path}`,
    mediaLink: `${API}/download${path}?generation=${object.generation}&alt=media`,
    name: object.name,
    bucket: object.bucket,
    generation: object.generation,
    metageneration: String(object.metageneration),
    etag: objectEtag(object),
    size: String(object.size),
    crc32c: object.crc32c,
    ...(object.md5Hash === undefined ? {} : { md5Hash: object.md5Hash }),
    ...(object.componentCount === undefined ? {} : { componentCount: object.componentCount }),
    storageClass: object.storageClass,
    timeCreated: isoTime(object.createdMs),
    updated: isoTime(object.updatedMs),
    timeStorageClassUpdated: isoTime(object.storageClassMs),
    timeFinalized: isoTime(object.createdMs),
    ...object.fields,
    ...(expiryMs === undefined ? {} : { retentionExpirationTime: isoTime(expiryMs) }),
    ...(object.noncurrentMs === undefined ? {} : { timeDeleted: isoTime(object.noncurrentMs) }),
    ...(object.deleted === undefined
      ? {}
      : { softDeleteTime: isoTime(object.deleted.softMs), hardDeleteTime: isoTime(object.deleted.hardMs) }),
  };
}

/** An answer whose download links lead to the host that was called, as the provider's do; some SDKs download only there. */
export function linkedTo(host: string | undefined, response: CloudResponse): CloudResponse {
  const { body } = response;
  if (host === undefined || body === undefined || Buffer.isBuffer(body)) return response;
  const relink = (value: Json | undefined): Json | undefined =>
    isObject(value) && typeof value['mediaLink'] === 'string'
      ? { ...value, mediaLink: value['mediaLink'].replace(API, `http://${host}`) }
      : value;
  const given = relink(body as JsonObject) as JsonObject;
  const { items, resource } = given;
  return {
    ...response,
    body: {
      ...given,
      ...(Array.isArray(items) ? { items: (items as Json[]).map(relink) } : {}),
      ...(resource === undefined ? {} : { resource: relink(resource) }),
    },
  };
}

export function objectEtag(object: ObjectRecord): string {
  return counterEtag(BigInt(object.generation), object.metageneration);
}

/** The contents, or the part that a Range header asks for, with the headers that Cloud Storage adds. Throws 416. */
export function mediaResponse(object: ObjectRecord, bytes: Buffer, request: CloudRequest): CloudResponse {
  const gzipped = object.fields['contentEncoding'] === 'gzip';
  const transcode = gzipped && !/\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
  const headers = mediaHeaders(object, { gzipped, transcode });
  if (transcode) return { status: 200, headers, body: gunzipSync(bytes) };
  const range = parseRange(request.headers['range'], bytes.length);
  if (range === undefined) return { status: 200, headers, body: bytes };
  const [start, end] = range;
  return {
    status: 206,
    headers: { ...headers, 'content-range': `bytes ${start}-${end}/${bytes.length}` },
    body: bytes.subarray(start, end + 1),
  };
}

function mediaHeaders(object: ObjectRecord, coding: { gzipped: boolean; transcode: boolean }): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': textField(object, 'contentType') ?? 'application/octet-stream',
    'last-modified': new Date(object.updatedMs).toUTCString(),
    etag:
      object.md5Hash === undefined
        ? `"${objectEtag(object)}"`
        : `"${Buffer.from(object.md5Hash, 'base64').toString('hex')}"`,
    'accept-ranges': coding.transcode ? 'none' : 'bytes',
    'x-goog-generation': object.generation,
    'x-goog-metageneration': String(object.metageneration),
    'x-goog-hash': `crc32c=${object.crc32c}${object.md5Hash === undefined ? '' : `,md5=${object.md5Hash}`}`,
    'x-goog-storage-class': object.storageClass,
    'x-goog-stored-content-encoding': coding.gzipped ? 'gzip' : 'identity',
    'x-goog-stored-content-length': String(object.size),
  };
  for (const [field, header] of [
    ['cacheControl', 'cache-control'],
    ['contentDisposition', 'content-disposition'],
    ['contentLanguage', 'content-language'],
  ] as const) {
    const value = textField(object, field);
    if (value !== undefined) headers[header] = value;
  }
  if (coding.gzipped && !coding.transcode) headers['content-encoding'] = 'gzip';
  return headers;
}

function textField(object: ObjectRecord, field: string): string | undefined {
  const value = object.fields[field];
  return typeof value === 'string' ? value : undefined;
}

/** First and last byte of a single range; undefined without one (or with several, which are ignored). */
function parseRange(header: string | undefined, size: number): [number, number] | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  const [, from = '', to = ''] = match ?? [];
  if (match === null || (from === '' && to === '')) return undefined;
  const start = from === '' ? Math.max(0, size - Number(to)) : Number(from);
  const end = from === '' || to === '' ? size - 1 : Math.min(Number(to), size - 1);
  if (start <= end) return [start, end];
  throw new GcsError({
    status: 416,
    reason: 'requestedRangeNotSatisfiable',
    message: 'Request range not satisfiable',
    location: 'Range',
    xmlCode: 'InvalidRange',
  });
}
