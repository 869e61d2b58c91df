// Listing objects: prefix, delimiter, versions, pages. Order: name, then generation.

import type { Identity } from '#hack/cloud/iam/model.ts';
import type { JsonObject } from '#hack/cloud/json.ts';
import { demand } from './access.ts';
import type { Buckets } from './buckets.ts';
import { objectGroup, type BucketRecord, type GcsContext, type ObjectRecord } from './context.ts';
import { invalid, notModelled } from './errors.ts';
import { boolean, decodePageToken, encodePageToken, pageSize, type Query } from './preconditions.ts';

export interface ObjectPage {
  readonly items: readonly ObjectRecord[];
  readonly prefixes: readonly string[];
  readonly nextPageToken?: string | undefined;
  readonly bucket: BucketRecord;
}

/** One page of a bucket's objects, counted together with the prefixes that a delimiter makes. */
export function listObjects(
  context: GcsContext,
  buckets: Buckets,
  call: { identity: Identity; bucket: string; query: Query },
): ObjectPage {
  const { identity, query } = call;
  const bucket = buckets.existing(call.bucket);
  demand(context, identity, { permission: 'storage.objects.list', bucket });
  // Go's SDK sends the parameter empty.
  if (query.get('matchGlob')) throw notModelled('matchGlob; use prefix and delimiter');
  const filter = readFilter(query);
  const size = pageSize(query);
  const items: ObjectRecord[] = [];
  const prefixes: string[] = [];
  let last = '';
  for (const object of candidates(context, bucket, filter)) {
    const folder = folderOf(object.name, filter);
    const position = folder === undefined ? positionOf(object) : `${folder}\uffff`;
    if (folder !== undefined && prefixes.at(-1) === folder) continue;
    if (items.length + prefixes.length === size)
      return { bucket, items, prefixes, nextPageToken: encodePageToken(last) };
    if (folder === undefined || (filter.includeTrailing && object.name === folder)) items.push(object);
    if (folder !== undefined) prefixes.push(folder);
    last = position;
  }
  return { bucket, items, prefixes };
}

/** The page as the JSON API answers it: keys without entries are left out. */
export function objectPageBody(page: ObjectPage, resource: (object: ObjectRecord) => JsonObject): JsonObject {
  return {
    kind: 'storage#objects',
    ...(page.nextPageToken === undefined ? {} : { nextPageToken: page.nextPageToken }),
    ...(page.prefixes.length === 0 ? {} : { prefixes: page.prefixes }),
    ...(page.items.length === 0 ? {} : { items: page.items.map(resource) }),
  };
}

interface Filter {
  readonly prefix: string;
  readonly delimiter: string;
  readonly includeTrailing: boolean;
  readonly start: string;
  readonly end: string | undefined;
  readonly after: string | undefined;
  readonly which: 'live' | 'versions' | 'softDeleted';
}

function readFilter(query: Query): Filter {
  const versions = boolean(query, 'versions');
  const softDeleted = boolean(query, 'softDeleted');
  if (versions && softDeleted) throw invalid('versions and softDeleted cannot be listed together.');
  return {
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') ?? '',
    includeTrailing: boolean(query, 'includeTrailingDelimiter'),
    start: query.get('startOffset') ?? '',
    end: query.get('endOffset') || undefined,
    after: decodePageToken(query),
    which: softDeleted ? 'softDeleted' : versions ? 'versions' : 'live',
  };
}

/** Where an object stands in the order; generations have 16 digits, so text order is their order. */
function positionOf(object: ObjectRecord): string {
  return `${object.name}\0${object.generation}`;
}

function* candidates(context: GcsContext, bucket: BucketRecord, filter: Filter): Generator<ObjectRecord> {
  // A page begins where the last one ended, without walking what came before.
  const resumed = filter.after?.replace(/\0.*$/s, '') ?? '';
  const from = [filter.prefix, filter.start, resumed].reduce((a, b) => (a > b ? a : b));
  for (const object of inOrder(context, bucket, { which: filter.which, from })) {
    if (!object.name.startsWith(filter.prefix)) {
      if (object.name > filter.prefix) return;
      continue;
    }
    if (filter.end !== undefined && object.name >= filter.end) return;
    const folder = folderOf(object.name, filter);
    const position = folder === undefined ? positionOf(object) : `${folder}\uffff`;
    if (object.name >= filter.start && (filter.after === undefined || position > filter.after)) yield object;
  }
}

function* inOrder(
  context: GcsContext,
  bucket: BucketRecord,
  wanted: { which: Filter['which']; from: string },
): Generator<ObjectRecord> {
  const { objects, versions, deletedObjects } = context.tables;
  const group = objectGroup(bucket);
  const first = `${group}/${wanted.from}`;
  if (wanted.which === 'versions') {
    const all = [
      ...objects.keys(group).flatMap((key) => objects.get(key) ?? []),
      ...versions.keys(group).flatMap((key) => versions.get(key) ?? []),
    ];
    yield* all.sort((a, b) => (positionOf(a) < positionOf(b) ? -1 : 1));
    return;
  }
  const table = wanted.which === 'live' ? objects : deletedObjects;
  const keys = table.keys(group);
  for (let index = lowerBound(keys, first); index < keys.length; index += 1) {
    const object = table.get(keys[index] ?? '');
    if (object !== undefined) yield object;
  }
}

function lowerBound(keys: readonly string[], wanted: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] ?? '') < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** "a/b/c" under prefix "a/" and delimiter "/" is folded into "a/b/"; undefined: the object stands for itself. */
function folderOf(name: string, filter: Filter): string | undefined {
  if (filter.delimiter === '') return undefined;
  const at = name.indexOf(filter.delimiter, filter.prefix.length);
  return at === -1 ? undefined : name.slice(0, at + filter.delimiter.length);
}
