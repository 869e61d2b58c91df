// JSON API paths of objects, uploads and downloads.

import type { CloudResponse } from '#hack/cloud/door.ts';
import type { JsonObject } from '#hack/cloud/json.ts';
import { first } from './bucket-routes.ts';
import { jsonBody, jsonIdentity, type Call, type Route } from './call.ts';
import { invalid, required } from './errors.ts';
import { parseRelated } from './multipart.ts';
import { listObjects, objectPageBody } from './object-list.ts';
import { mediaResponse, objectResource } from './object-resource.ts';
import type { CopyRequest } from './object-copy.ts';
import type { ObjectRef } from './objects.ts';

const OBJECTS = /^\/storage\/v1\/b\/([^/]+)\/o\/?$/;
const OBJECT = /^\/(?:download\/)?storage\/v1\/b\/([^/]+)\/o\/([^/]+)$/;
const UPLOAD = /^\/(?:resumable\/)?upload\/storage\/v1\/b\/([^/]+)\/o$/;
const COPY = /^\/storage\/v1\/b\/([^/]+)\/o\/([^/]+)\/copyTo\/b\/([^/]+)\/o\/([^/]+)$/;
const MOVE = /^\/storage\/v1\/b\/([^/]+)\/o\/([^/]+)\/moveTo\/o\/([^/]+)$/;
const REWRITE = /^\/storage\/v1\/b\/([^/]+)\/o\/([^/]+)\/rewriteTo\/b\/([^/]+)\/o\/([^/]+)$/;

export const OBJECT_ROUTES: readonly Route[] = [
  { method: 'GET', path: OBJECTS, op: 'objects.list', kind: 'list', run: list },
  { method: 'GET', path: OBJECT, op: 'objects.get', kind: 'get', run: get },
  { method: 'HEAD', path: OBJECT, op: 'objects.get', kind: 'get', run: get },
  {
    method: 'PATCH',
    path: OBJECT,
    op: 'objects.patch',
    kind: 'write',
    run: (call) =>
      call.model.objects.patch(jsonIdentity(call), ref(call), { query: call.query, body: jsonBody(call.request.body) }),
  },
  {
    method: 'PUT',
    path: OBJECT,
    op: 'objects.update',
    kind: 'write',
    run: (call) =>
      call.model.objects.update(jsonIdentity(call), ref(call), {
        query: call.query,
        body: jsonBody(call.request.body),
      }),
  },
  {
    method: 'DELETE',
    path: OBJECT,
    op: 'objects.delete',
    kind: 'write',
    run(call) {
      call.model.objects.delete(jsonIdentity(call), ref(call), call.query);
      return { status: 204, headers: {} };
    },
  },
  {
    method: 'POST',
    path: /^\/storage\/v1\/b\/([^/]+)\/o\/([^/]+)\/restore$/,
    op: 'objects.restore',
    kind: 'write',
    run: (call) => call.model.objects.restore(jsonIdentity(call), ref(call), call.query),
  },
  {
    method: 'POST',
    path: /^\/storage\/v1\/b\/([^/]+)\/o\/([^/]+)\/compose$/,
    op: 'objects.compose',
    kind: 'write',
    run: (call) =>
      call.model.copies.compose(jsonIdentity(call), ref(call), {
        query: call.query,
        body: jsonBody(call.request.body),
      }),
  },
  {
    method: 'POST',
    path: COPY,
    op: 'objects.copy',
    kind: 'write',
    run: (call) => call.model.copies.copy(jsonIdentity(call), copyRequest(call)),
  },
  {
    method: 'POST',
    path: REWRITE,
    op: 'objects.rewrite',
    kind: 'write',
    run: (call) => call.model.copies.rewrite(jsonIdentity(call), copyRequest(call)),
  },
  {
    method: 'POST',
    path: MOVE,
    op: 'objects.move',
    kind: 'write',
    run(call) {
      const source = ref(call);
      const target = { bucket: source.bucket, name: call.params[2] ?? '' };
      return call.model.copies.move(jsonIdentity(call), { source, target, query: call.query, body: {} });
    },
  },
  {
    method: 'POST',
    path: UPLOAD,
    op: 'objects.insert',
    kind: 'write',
    run: upload,
    name: (call) => `${first(call.params)}/${call.query.get('name') ?? ''}`,
  },
  {
    method: 'PUT',
    path: UPLOAD,
    op: 'objects.insert',
    kind: 'write',
    run: resume,
    name: (call) => `${first(call.params)}/${call.query.get('name') ?? ''}`,
  },
  {
    method: 'DELETE',
    path: UPLOAD,
    op: 'objects.cancelUpload',
    kind: 'write',
    run: (call) => call.model.uploads.cancel(sessionId(call)),
  },
];

function list(call: Call): JsonObject {
  const page = listObjects(call.model.context, call.model.buckets, {
    identity: jsonIdentity(call),
    bucket: first(call.params),
    query: call.query,
  });
  return objectPageBody(page, (object) => objectResource(page.bucket, object));
}

function get(call: Call): CloudResponse | JsonObject {
  if (call.query.get('alt') !== 'media' && !call.request.path.startsWith('/download/'))
    return call.model.objects.get(jsonIdentity(call), ref(call), call.query);
  const { object, bytes } = call.model.objects.read(jsonIdentity(call), ref(call), call.query);
  return mediaResponse(object, bytes, call.request);
}

function upload(call: Call): CloudResponse | JsonObject {
  switch (call.query.get('uploadType')) {
    case 'media':
      return insert(call, { fields: withContentType({}, call.request.headers['content-type']), bytes: bodyOf(call) });
    case 'multipart': {
      const parts = parseRelated(call.request.headers['content-type'], bodyOf(call));
      return insert(call, { fields: withContentType(parts.fields, parts.contentType), bytes: parts.bytes });
    }
    case 'resumable':
      return call.query.has('upload_id') ? resume(call) : beginSession(call);
    default:
      throw invalid("Invalid upload request: uploadType must be 'media', 'multipart' or 'resumable'.");
  }
}

function insert(call: Call, upload: { fields: JsonObject; bytes: Buffer }): JsonObject {
  return call.model.objects.insert(jsonIdentity(call), {
    bucket: first(call.params),
    name: uploadName(call, upload.fields),
    query: call.query,
    ...upload,
  });
}

function beginSession(call: Call): CloudResponse {
  const fields = withContentType(jsonBody(call.request.body), call.request.headers['x-upload-content-type']);
  const bucket = first(call.params);
  const name = uploadName(call, fields);
  const id = call.model.uploads.begin(jsonIdentity(call), { bucket, name, query: call.query, fields });
  const query = new URLSearchParams({ uploadType: 'resumable', name, upload_id: id });
  const host = call.request.headers['host'] ?? '127.0.0.1';
  const location = `http://${host}/upload/storage/v1/b/${encodeURIComponent(bucket)}/o?${query.toString()}`;
  return { status: 200, headers: { location, 'x-guploader-uploadid': id } };
}

/** A piece by PUT or POST. Go's SDK asks for 200 in place of 308, which HTTP has since given another meaning. */
function resume(call: Call): CloudResponse {
  const { headers } = call.request;
  const response = call.model.uploads.put(sessionId(call), headers['content-range'], bodyOf(call));
  if (response.status !== 308 || headers['x-guploader-no-308'] === undefined) return response;
  return { ...response, status: 200, headers: { ...response.headers, 'x-http-status-code-override': '308' } };
}

function sessionId(call: Call): string {
  const id = call.query.get('upload_id');
  if (id === null) throw required('upload_id');
  return id;
}

function uploadName(call: Call, fields: JsonObject): string {
  const inBody = fields['name'];
  return call.query.get('name') ?? (typeof inBody === 'string' ? inBody : '');
}

function withContentType(fields: JsonObject, contentType: string | undefined): JsonObject {
  return fields['contentType'] === undefined && contentType !== undefined ? { ...fields, contentType } : fields;
}

function bodyOf(call: Call): Buffer {
  return call.request.body ?? Buffer.alloc(0);
}

function ref(call: Call): ObjectRef {
  return { bucket: first(call.params), name: call.params[1] ?? '' };
}

function copyRequest(call: Call): CopyRequest {
  const [, , bucket = '', name = ''] = call.params;
  return { source: ref(call), target: { bucket, name }, query: call.query, body: jsonBody(call.request.body) };
}
