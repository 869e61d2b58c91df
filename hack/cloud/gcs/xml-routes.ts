// The XML API's paths, /<bucket>/<object>: where browsers, signed URLs and anonymous readers go. Without credentials the caller is nobody.

import type { CloudRequest, CloudResponse } from '#hack/cloud/door.ts';
import type { CallKind } from '#hack/cloud/faults.ts';
import type { Call, Route } from './call.ts';
import { corsHeaders } from './cors.ts';
import { element, escapeXml, GcsError, invalid } from './errors.ts';
import { listObjects } from './object-list.ts';
import { mediaResponse, objectEtag } from './object-resource.ts';
import { callerOf, conditions, headerFields, objectHeaders, ref } from './xml-call.ts';
import { MULTIPART_ROUTES } from './xml-multipart.ts';

const BUCKET = /^\/([^/]+)\/?$/;
const OBJECT = /^\/([^/]+)\/(.+)$/;
const XML_NAMESPACE = 'http://doc.s3.amazonaws.com/2006-03-01';

export const XML_ROUTES: readonly Route[] = [
  ...MULTIPART_ROUTES,
  xml('GET', OBJECT, { op: 'objects.get', kind: 'get', run: read }),
  xml('HEAD', OBJECT, { op: 'objects.get', kind: 'get', run: read }),
  xml('PUT', OBJECT, { op: 'objects.insert', kind: 'write', run: write }),
  xml('POST', OBJECT, { op: 'objects.insert', kind: 'write', run: begin }),
  xml('DELETE', OBJECT, { op: 'objects.delete', kind: 'write', run: remove }),
  {
    method: 'GET',
    path: BUCKET,
    op: 'objects.list',
    kind: 'list',
    run: list,
    empty: (call) => listing(call.params[0] ?? '', ''),
  },
  { method: 'OPTIONS', path: OBJECT, op: 'cors.preflight', kind: 'get', run: () => ({ status: 200, headers: {} }) },
];

/** Adds what every answer on these paths carries: CORS headers, also on errors. */
export function withCors(model: Call['model'], request: CloudRequest, response: CloudResponse): CloudResponse {
  const bucket = /^\/([^/]+)/.exec(request.path)?.[1] ?? '';
  return {
    ...response,
    headers: { ...response.headers, ...corsHeaders(model.context.tables.buckets.get(bucket), request) },
  };
}

function xml(
  method: string,
  path: RegExp,
  rest: { op: string; kind: CallKind; run: (call: Call) => CloudResponse },
): Route {
  return { method, path, ...rest };
}

function read(call: Call): CloudResponse {
  const caller = callerOf(call);
  const { object, bytes } = call.model.objects.read(caller, ref(call), conditions(call));
  const response = mediaResponse(object, bytes, call.request);
  const overrides: Record<string, string> = {};
  for (const [parameter, header] of [
    ['response-content-type', 'content-type'],
    ['response-content-disposition', 'content-disposition'],
  ] as const) {
    const value = call.query.get(parameter);
    if (value !== null) overrides[header] = value;
  }
  return { ...response, headers: { ...response.headers, ...overrides } };
}

function write(call: Call): CloudResponse {
  const session = call.query.get('upload_id');
  const bytes = call.request.body ?? Buffer.alloc(0);
  if (session !== null)
    return withoutBody(call.model.uploads.put(session, call.request.headers['content-range'], bytes));
  const caller = callerOf(call);
  checkLengthRange(call.request.headers['x-goog-content-length-range'], bytes.length);
  const body = call.model.objects.insert(caller, {
    ...ref(call),
    query: conditions(call),
    fields: headerFields(call),
    bytes,
  });
  return { status: 200, headers: objectHeaders(body) };
}

/** POST with x-goog-resumable: start opens a session that is continued by PUT on the Location. */
function begin(call: Call): CloudResponse {
  if (call.request.headers['x-goog-resumable'] !== 'start')
    throw invalid('POST on an object needs the header x-goog-resumable: start.');
  const caller = callerOf(call);
  const id = call.model.uploads.begin(caller, { ...ref(call), query: conditions(call), fields: headerFields(call) });
  const host = call.request.headers['host'] ?? '127.0.0.1';
  return {
    status: 201,
    headers: { location: `http://${host}${call.request.path}?upload_id=${id}`, 'x-guploader-uploadid': id },
  };
}

function remove(call: Call): CloudResponse {
  const session = call.query.get('upload_id');
  if (session !== null) return call.model.uploads.cancel(session);
  const query = conditions(call);
  call.model.objects.delete(callerOf(call), ref(call), query);
  return { status: 204, headers: {} };
}

function list(call: Call): CloudResponse {
  const caller = callerOf(call);
  const query = new URLSearchParams();
  for (const [theirs, ours] of [
    ['prefix', 'prefix'],
    ['delimiter', 'delimiter'],
    ['max-keys', 'maxResults'],
    ['continuation-token', 'pageToken'],
  ] as const) {
    const value = call.query.get(theirs);
    if (value !== null && value !== '') query.set(ours, value);
  }
  const bucket = call.params[0] ?? '';
  const page = listObjects(call.model.context, call.model.buckets, { identity: caller, bucket, query });
  const contents = page.items.map((object) =>
    element('Contents', {
      Key: object.name,
      Generation: object.generation,
      MetaGeneration: String(object.metageneration),
      LastModified: new Date(object.updatedMs).toISOString(),
      ETag: `"${object.md5Hash === undefined ? objectEtag(object) : Buffer.from(object.md5Hash, 'base64').toString('hex')}"`,
      Size: String(object.size),
    }),
  );
  const folders = page.prefixes.map((prefix) => element('CommonPrefixes', { Prefix: prefix }));
  const next =
    page.nextPageToken === undefined
      ? ''
      : `<NextContinuationToken>${escapeXml(page.nextPageToken)}</NextContinuationToken>`;
  const prefix = escapeXml(query.get('prefix') ?? '');
  const head = `<Prefix>${prefix}</Prefix><IsTruncated>${page.nextPageToken !== undefined}</IsTruncated>${next}`;
  return listing(bucket, `${head}${contents.join('')}${folders.join('')}`);
}

function listing(bucket: string, inner: string): CloudResponse {
  const result = `<ListBucketResult xmlns='${XML_NAMESPACE}'><Name>${escapeXml(bucket)}</Name>${inner}</ListBucketResult>`;
  const body = Buffer.from(`<?xml version='1.0' encoding='UTF-8'?>${result}`);
  return { status: 200, headers: { 'content-type': 'application/xml; charset=UTF-8' }, body };
}

function checkLengthRange(header: string | undefined, size: number): void {
  if (header === undefined) return;
  const match = /^(\d+),(\d+)$/.exec(header.replaceAll(' ', ''));
  if (match === null) throw invalid(`Invalid x-goog-content-length-range: ${header}`);
  const problem = size < Number(match[1]) ? 'EntityTooSmall' : size > Number(match[2]) ? 'EntityTooLarge' : undefined;
  if (problem === undefined) return;
  throw new GcsError({
    status: 400,
    reason: 'invalid',
    message: `Content-length ${size} is outside of the range ${header}.`,
    xmlCode: problem,
  });
}

function withoutBody(response: CloudResponse): CloudResponse {
  return response.status === 200 ? { status: 200, headers: response.headers } : response;
}
