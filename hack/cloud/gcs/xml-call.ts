// What the XML API reads from a request: caller, preconditions, metadata in headers.

import { projectOfEmail, type Identity } from '#hack/cloud/iam/model.ts';
import { textOf, type JsonObject } from '#hack/cloud/json.ts';
import { xmlIdentity, type Call } from './call.ts';
import type { ObjectRef } from './objects.ts';
import { signerOf } from './signature.ts';
import { isSigned } from './signature-claim.ts';

/** The caller of an object URL: whoever signed it, a bearer, or nobody. */
export function callerOf(call: Call): Identity {
  if (!isSigned(call.request)) return xmlIdentity(call);
  const { iam, clock, hmacKeys } = call.model;
  const email = signerOf(call.request, {
    nowMs: clock.now(),
    keysOf: (address) => iam.signingKeys(address),
    hmacKeyOf: (accessId) => hmacKeys.signing(accessId),
  });
  return { kind: 'account', email, project: projectOfEmail(email) };
}

/** A header by its name without "x-goog-"; whoever signs as with Amazon spells it "x-amz-". */
function own(call: Call, name: string): string | undefined {
  return call.request.headers[`x-goog-${name}`] ?? call.request.headers[`x-amz-${name}`];
}

/** Preconditions and generation as the XML API has them, in the JSON API's names. */
export function conditions(call: Call): URLSearchParams {
  const query = new URLSearchParams();
  const generation = call.query.get('generation');
  if (generation !== null) query.set('generation', generation);
  const match = own(call, 'if-generation-match');
  if (match !== undefined) query.set('ifGenerationMatch', match);
  const meta = own(call, 'if-metageneration-match');
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
  ] as const) {
    const value = headers[header];
    if (value !== undefined) fields[field] = value;
  }
  const storageClass = own(call, 'storage-class');
  if (storageClass !== undefined) fields['storageClass'] = storageClass;
  const metadata: Record<string, string> = {};
  for (const [header, value] of Object.entries(headers)) {
    const name = /^x-(?:goog|amz)-meta-(.+)$/.exec(header)?.[1];
    if (name !== undefined && value !== undefined) metadata[name] = value;
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
