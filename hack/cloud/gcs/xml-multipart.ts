// XML multipart uploads: begin, parts, complete, abort. What S3-style clients use, and what AbortIncompleteMultipartUpload cleans up.

import { createHash } from 'node:crypto';
import type { CloudResponse } from '#hack/cloud/door.ts';
import type { Call, Route } from './call.ts';
import { crc32cBase64, md5Base64 } from './checksums.ts';
import { randomId, type UploadRecord } from './context.ts';
import { element, GcsError, invalid } from './errors.ts';
import { callerOf, conditions, headerFields, objectHeaders, ref } from './xml-call.ts';

const OBJECT = /^\/([^/]+)\/(.+)$/;
/** Parsers of the SDKs look for their elements in it. */
const XML_NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';
const PART_NUMBER_MAX = 10_000;
/** Every part but the last. */
const PART_BYTES_MIN = 5 * 1_024 * 1_024;

export const MULTIPART_ROUTES: readonly Route[] = [
  { method: 'POST', path: OBJECT, parameter: 'uploads', op: 'multipartUploads.create', kind: 'write', run: begin },
  {
    method: 'PUT',
    path: OBJECT,
    parameter: 'uploadId',
    op: 'multipartUploads.uploadPart',
    kind: 'write',
    run: putPart,
  },
  {
    method: 'POST',
    path: OBJECT,
    parameter: 'uploadId',
    op: 'multipartUploads.complete',
    kind: 'write',
    run: complete,
  },
  { method: 'DELETE', path: OBJECT, parameter: 'uploadId', op: 'multipartUploads.abort', kind: 'write', run: abort },
];

function begin(call: Call): CloudResponse {
  const { context, objects } = call.model;
  const caller = callerOf(call);
  const fields = headerFields(call);
  objects.admitInsert(caller, { ...ref(call), query: conditions(call), fields });
  const id = randomId(context);
  const upload: UploadRecord = {
    id,
    kind: 'multipart',
    ...ref(call),
    createdMs: context.clock.now(),
    fields,
    query: '',
    caller,
    received: 0,
    state: 'open',
  };
  context.tables.uploads.set(id, upload);
  return xml('InitiateMultipartUploadResult', { Bucket: upload.bucket, Key: upload.name, UploadId: id });
}

function putPart(call: Call): CloudResponse {
  const { tables } = call.model.context;
  const upload = existing(call);
  const number = Number(call.query.get('partNumber') ?? 'none');
  if (!Number.isInteger(number) || number < 1 || number > PART_NUMBER_MAX)
    throw invalid(`partNumber must be between 1 and ${PART_NUMBER_MAX}.`);
  const bytes = call.request.body ?? Buffer.alloc(0);
  tables.parts.set(partKey(upload.id, number), bytes);
  const hash = `crc32c=${crc32cBase64(bytes)},md5=${md5Base64(bytes)}`;
  return { status: 200, headers: { etag: etagOf(bytes), 'x-goog-hash': hash } };
}

function complete(call: Call): CloudResponse {
  const { tables } = call.model.context;
  const upload = existing(call);
  const wanted = [...(call.request.body?.toString() ?? '').matchAll(/<Part>([\s\S]*?)<\/Part>/g)].map((match) =>
    readPart(match[1] ?? ''),
  );
  if (wanted.length === 0) throw badPart('The list of parts is empty.');
  const pieces = wanted.map(({ number, etag }, index) => {
    const bytes = tables.parts.get(partKey(upload.id, number));
    if (bytes === undefined || etagOf(bytes) !== `"${etag}"`)
      throw badPart(`Part ${number} was not uploaded, or its ETag differs.`);
    if (index > 0 && number <= (wanted[index - 1]?.number ?? 0)) throw badPart('The parts are not in ascending order.');
    if (index < wanted.length - 1 && bytes.length < PART_BYTES_MIN)
      throw invalid(`Part ${number} has ${bytes.length} bytes; all but the last need ${PART_BYTES_MIN}.`);
    return bytes;
  });
  const { bucket, name, fields } = upload;
  const body = call.model.objects.insert(callerOf(call), {
    bucket,
    name,
    query: conditions(call),
    fields,
    bytes: Buffer.concat(pieces),
    componentCount: pieces.length,
  });
  drop(call, upload.id);
  const headers = objectHeaders(body);
  return {
    ...xml('CompleteMultipartUploadResult', { Bucket: bucket, Key: name, ETag: headers['etag'] ?? '' }),
    headers,
  };
}

function abort(call: Call): CloudResponse {
  const upload = existing(call);
  drop(call, upload.id);
  return { status: 204, headers: {} };
}

/** The open upload of this object; only who may write the object may touch it. */
function existing(call: Call): UploadRecord {
  const { model } = call;
  const { bucket, name } = ref(call);
  model.objects.admitInsert(callerOf(call), { bucket, name, query: new URLSearchParams(), fields: {} });
  const upload = model.context.tables.uploads.get(call.query.get('uploadId') ?? '');
  if (upload?.kind === 'multipart' && upload.bucket === bucket && upload.name === name) return upload;
  throw new GcsError({
    status: 404,
    reason: 'notFound',
    message: 'The requested upload was not found.',
    xmlCode: 'NoSuchUpload',
  });
}

function drop(call: Call, id: string): void {
  const { parts, uploads } = call.model.context.tables;
  for (const key of parts.keys(id)) parts.delete(key);
  uploads.delete(id);
}

function readPart(text: string): { number: number; etag: string } {
  const number = Number(/<PartNumber>\s*(\d+)\s*<\/PartNumber>/.exec(text)?.[1] ?? 'none');
  const etag = /<ETag>\s*(?:&quot;|")?([0-9a-f]{32})(?:&quot;|")?\s*<\/ETag>/.exec(text)?.[1];
  if (!Number.isInteger(number) || etag === undefined) throw badPart('Each Part needs PartNumber and ETag.');
  return { number, etag };
}

function partKey(id: string, number: number): string {
  return `${id}/${String(number).padStart(5, '0')}`;
}

function etagOf(bytes: Buffer): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`;
}

function badPart(message: string): GcsError {
  return new GcsError({ status: 400, reason: 'invalid', message, xmlCode: 'InvalidPart' });
}

function xml(name: string, children: Readonly<Record<string, string>>): CloudResponse {
  const body = element(name, children).replace(`<${name}>`, `<${name} xmlns='${XML_NAMESPACE}'>`);
  return {
    status: 200,
    headers: { 'content-type': 'application/xml; charset=UTF-8' },
    body: Buffer.from(`<?xml version='1.0' encoding='UTF-8'?>${body}`),
  };
}
