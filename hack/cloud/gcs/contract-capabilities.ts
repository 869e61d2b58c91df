// What a Cloud Storage server may lack and still be worth putting under the contract. Google's own service lacks nothing of this.

/** Each capability, and what a server that has it does. */
export const CAPABILITIES = {
  'error-words': 'refuses with the reason and the message that Google gives, not with the status alone',
  'bucket-defaults': 'answers the fields of a bucket that nobody set as Google does',
  'name-rules': 'refuses bucket names that Google refuses',
  'location-rules': 'refuses locations that do not exist',
  'bucket-patch': 'merges a patch of a bucket, counts its metageneration and honours ifMetagenerationMatch',
  'empty-patch': 'leaves the metageneration alone when a patch changes nothing',
  'bucket-configuration': 'stores lifecycle, cors, versioning and retention, and drops them when they are cleared',
  'lifecycle-rules': 'refuses lifecycle rules without a condition',
  'iam-policies': 'stores bucket policies under an etag and answers testPermissions',
  'public-access-prevention': 'refuses public members where they are prevented',
  'public-urls': 'serves object URLs, to strangers only what allUsers may view',
  'bucket-emptiness': 'refuses, with 409, to delete a bucket that holds an object or a noncurrent version',
  'bucket-prefixes': 'lists buckets by prefix',
  'object-metadata': 'stores the metadata of objects as written, nothing added, and counts their metageneration',
  'empty-objects': 'answers the size of an empty object',
  'upload-sessions': 'keeps resumable sessions: status, minimum piece, cancellation',
  ranges: 'reads ranges and refuses those beyond the end',
  'generation-conditions': 'honours ifGenerationMatch and ifGenerationNotMatch on reads and deletes',
  versions: 'keeps noncurrent versions, readable and listed by generation',
  copies: 'rewrites and composes objects',
  'list-offsets': 'lists between startOffset and endOffset, and with includeTrailingDelimiter',
  'list-pages': 'lists in pages of the size asked for, folders and versions too',
  'soft-delete-off': 'takes a softDeletePolicy of 0 seconds',
  'soft-delete': 'keeps, lists and restores soft-deleted objects',
  'bucket-restore': 'lists and restores soft-deleted buckets',
  'retention-policies': "enforces a bucket's retention on deletes, overwrites, composes and rewrites",
  'retention-locks': 'locks a retention policy under its metageneration',
  holds: 'enforces temporary and event-based holds, and the default of a bucket',
  'object-retention': 'enforces the retention of single objects, Unlocked and Locked',
  'hmac-keys': 'makes, deactivates and deletes HMAC keys of service accounts',
  'hmac-signatures': 'honours requests to the XML API that are signed with an HMAC key',
  cors: 'answers preflights of object URLs by the rules of the bucket',
} as const;

export type Capability = keyof typeof CAPABILITIES;

/** Reads "versions, holds". Throws on a name that is none, naming those there are. */
export function parseLacks(text: string): ReadonlySet<Capability> {
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const unknown = names.find((name) => !Object.hasOwn(CAPABILITIES, name));
  if (unknown !== undefined)
    throw new RangeError(
      `GCS_CONTRACT_LACKS: "${unknown}" is not a capability. Use ${Object.keys(CAPABILITIES).join(', ')}.`,
    );
  return new Set(names as Capability[]);
}
