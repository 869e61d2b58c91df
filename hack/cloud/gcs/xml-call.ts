// What the XML API reads from a request: caller, preconditions, metadata in headers.

import { projectOfEmail, type Identity } from '#hack/cloud/iam/model.ts';
import { textOf, type JsonObject } from '#hack/cloud/json.ts';
import { xmlIdentity, type Call } from './call.ts';
import type { ObjectRef } from './objects.ts';
import { isSigned, signerOf } from './signed-url.ts';

/** The caller of an object URL: whoever signed it, a bearer, or nobody. */
export function callerOf(call: Call): Identity {
  if (!isSigned(call.query)) return xmlIdentity(call);
  const { iam, clock } = call.model;
  const email = signerOf(call.request, { nowMs: clock.now(), keysOf: (address) => iam.signingKeys(address) });
  return { kind: 'account', email, project: projectOfEmail(email) };
}

/** Preconditions and generation as the XML API has them, in the JSON API's names. */
export function conditions(call: Call): URLSearchParams {
  const query = new URLSearchParams();
  const generation = call.query.get('generation');
  if (generation !== null) query.set('generation', generation);
  const match = call.request.headers['x-goog-if-generation-match'];
  if (match !== undefined) query.set('ifGenerationMatch', match);
  const meta = call.request.headers['x-goog-if-metageneration-match'];
  if (meta !== undefined) query.set('ifMetagenerationMatch', meta);
  return query;
}

/** Metadata that a PUT brings in headers. */
export function headerFields(call: Call): JsonObject {
  const { headers } = call.request;
  const fields: Record<string, string> = {};
  for (const [header, field] of [
    ['content-type', 'contentType'],
    ['content-encoding', 'contentEncoding'],
    ['content-disposition', 'contentDisposition'],
    ['content-language', 'contentLanguage'],
    ['cache-control', 'cacheControl'],
    ['content-md5', 'md5Hash'],
    ['x-goog-storage-class', 'storageClass'],
  ] as const) {
    const value = headers[header];
    if (value !== undefined) fields[field] = value;
  }
  const metadata: Record<string, string> = {};
  for (const [header, value] of Object.entries(headers)) {
    if (header.startsWith('x-goog-meta-') && value !== undefined) metadata[header.slice('x-goog-meta-'.length)] = value;
  }
  return Object.keys(metadata).length === 0 ? fields : { ...fields, metadata };
}

/** The headers of an answer to a write. */
export function objectHeaders(resource: JsonObject): Record<string, string> {
  const md5 = textOf(resource['md5Hash']);
  return {
    etag: `"${md5 === '' ? textOf(resource['etag']) : Buffer.from(md5, 'base64').toString('hex')}"`,
    'x-goog-generation': textOf(resource['generation']),
    'x-goog-metageneration': textOf(resource['metageneration']),
    'x-goog-hash': `crc32c=${textOf(resource['crc32c'])}${md5 === '' ? '' : `,md5=${md5}`}`,
    'x-goog-stored-content-length': textOf(resource['size']),
  };
}

/** The object that the path names. */
export function ref(call: Call): ObjectRef {
  return { bucket: call.params[0] ?? '', name: call.params[1] ?? '' };
}
