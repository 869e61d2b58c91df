// What Cloud Storage has and this cloud does not: refused as such, never answered as if it were missing or done.

import type { CloudRequest } from '#hack/cloud/door.ts';
import type { CallKind } from '#hack/cloud/faults.ts';
import { usesUniformAccess } from './buckets.ts';
import { ACCESS_LISTS, GcsError, invalid, notModelled } from './errors.ts';
import type { GcsModel } from './model.ts';
import type { Query } from './preconditions.ts';

const LEGACY_ACL = /^\/storage\/v1\/b\/([^/]+)\/(?:acl|defaultObjectAcl|o\/[^/]+\/acl)(?:\/[^/]*)?$/;
const FEATURES: readonly (readonly [RegExp, string])[] = [
  [/^\/storage\/v1\/b\/[^/]+\/notificationConfigs/, 'notifications'],
  [/^\/storage\/v1\/b\/[^/]+\/(?:managedFolders|folders)/, 'folders'],
  [/^\/storage\/v1\/b\/[^/]+\/anywhereCaches/, 'caches'],
  [/^\/storage\/v1\/b\/[^/]+\/o\/(?:watch|bulkRestore)$/, 'channels and bulk restores'],
  [/^\/$/, 'listing buckets over the XML API'],
  [/^\/[^/]+\/?$/, 'calls on a bucket over the XML API other than listing, form uploads included'],
];
/** What Amazon's clients may ask for in headers and would otherwise believe to have got; in Google's spelling too. */
const AMAZON_HEADERS = ['acl', 'copy-source', 'tagging', 'object-lock-mode', 'object-lock-legal-hold'].flatMap(
  (name) => [`x-amz-${name}`, `x-goog-${name}`],
);
const LEGACY_REFUSED =
  'Cannot use ACL API to read or change access of a bucket with uniform bucket-level access. Read more at https://cloud.google.com/storage/docs/uniform-bucket-level-access';

/** Why a path that no route takes is refused. A bucket with uniform access has no ACLs at the provider either. */
export function refusalOfPath(model: GcsModel, path: string): GcsError {
  const bucket = LEGACY_ACL.exec(path)?.[1];
  if (bucket !== undefined) {
    const uniform = usesUniformAccess(model.buckets.existing(decodeURIComponent(bucket)).fields);
    return uniform ? invalid(LEGACY_REFUSED) : notModelled(ACCESS_LISTS);
  }
  const feature = FEATURES.find(([pattern]) => pattern.test(path));
  if (feature !== undefined) return notModelled(feature[1]);
  return new GcsError({ status: 404, reason: 'notFound', message: 'Not Found' });
}

/** Throws 501 for what a caller asks of any path and would otherwise believe to have got. */
export function refuseUnmodelled(
  { request, query }: { readonly request: CloudRequest; readonly query: Query },
  kind: CallKind,
): void {
  if (kind === 'write' && (request.headers['if-match'] ?? request.headers['if-none-match']) !== undefined)
    throw notModelled('If-Match and If-None-Match on writes; use ifGenerationMatch or ifMetagenerationMatch');
  const sealed = Object.keys(request.headers).some((name) => /^x-goog-(copy-source-)?encryption-key$/.test(name));
  if (sealed) throw notModelled('customer-supplied encryption keys');
  if (/^(?:AWS|GOOG1) /.test(request.headers['authorization'] ?? ''))
    throw notModelled('V2 signatures; sign with AWS4-HMAC-SHA256 or GOOG4-HMAC-SHA256');
  if (query.has('GoogleAccessId')) throw notModelled("V2 signed URLs; sign with version 'v4'");
  const foreign = AMAZON_HEADERS.find((name) => request.headers[name] !== undefined);
  if (foreign !== undefined) throw notModelled(`the header ${foreign}`);
}
