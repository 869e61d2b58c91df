// What time does in Cloud Storage: lifecycle rules, the end of soft deletion, forgotten sessions.
//
// The provider looks at rules about once a day and asynchronously; here they take effect at each tick, in full.

import { isObject } from '#hack/cloud/json.ts';
import { objectGroup, type BucketRecord, type GcsContext, type ObjectRecord } from './context.ts';
import type { LifecycleCondition, LifecycleRule } from './lifecycle-rules.ts';
import { displace, erase, replaceRecord } from './object-store.ts';
import { isErasable } from './protection.ts';

const DAY_MS = 86_400_000;

/** Applies every bucket's rules as of now. */
export function applyLifecycle(context: GcsContext): void {
  for (const [, bucket] of context.tables.buckets.entries()) {
    const rules = rulesOf(bucket);
    if (rules.length === 0) continue;
    for (const object of versionsOf(context, bucket)) applyToObject(context, bucket, { object, rules });
    abortUploads(context, bucket, rules);
  }
}

/** Removes for good what was soft-deleted long enough ago. */
export function expireSoftDeleted(context: GcsContext): void {
  const nowMs = context.clock.now();
  const { deletedObjects, deletedBuckets, blobs } = context.tables;
  for (const [key, object] of deletedObjects.entries()) {
    if ((object.deleted?.hardMs ?? Infinity) > nowMs) continue;
    deletedObjects.delete(key);
    blobs.delete(key);
  }
  for (const [key, bucket] of deletedBuckets.entries()) {
    if ((bucket.deleted?.hardMs ?? Infinity) <= nowMs) deletedBuckets.delete(key);
  }
}

function rulesOf(bucket: BucketRecord): LifecycleRule[] {
  const lifecycle = bucket.fields['lifecycle'];
  const rules = isObject(lifecycle) ? lifecycle['rule'] : undefined;
  return Array.isArray(rules) ? (rules as LifecycleRule[]) : [];
}

/** A version and how many newer ones its name has. */
interface Version {
  readonly record: ObjectRecord;
  readonly newer: number;
}

function versionsOf(context: GcsContext, bucket: BucketRecord): Version[] {
  const { objects, versions } = context.tables;
  const group = objectGroup(bucket);
  const counts = new Map<string, number>();
  const live = objects.keys(group).flatMap((key) => objects.get(key) ?? []);
  for (const record of live) counts.set(record.name, 1);
  const old = versions.keys(group).flatMap((key) => versions.get(key) ?? []);
  const newestFirst = old.toReversed().map((record) => {
    const newer = counts.get(record.name) ?? 0;
    counts.set(record.name, newer + 1);
    return { record, newer };
  });
  return [...live.map((record) => ({ record, newer: 0 })), ...newestFirst];
}

/** Delete wins over SetStorageClass; of several classes the coldest wins (lifecycle page). */
function applyToObject(
  context: GcsContext,
  bucket: BucketRecord,
  target: { object: Version; rules: readonly LifecycleRule[] },
): void {
  const { record } = target.object;
  const nowMs = context.clock.now();
  const actions = target.rules
    .filter(
      (rule) =>
        rule.action.type !== 'AbortIncompleteMultipartUpload' && conditionMet(rule.condition, target.object, nowMs),
    )
    .map((rule) => rule.action);
  if (actions.some((action) => action.type === 'Delete')) {
    if (!isErasable(bucket, record, nowMs)) return;
    if (record.noncurrentMs === undefined) displace(context, bucket, record);
    else erase(context, bucket, record);
    return;
  }
  const classes = actions.flatMap((action) => (action.type === 'SetStorageClass' ? [action.storageClass] : []));
  const coldest = classes.sort((a, b) => coldness(b) - coldness(a))[0];
  if (coldest === undefined || coldness(coldest) <= coldness(record.storageClass)) return;
  replaceRecord(context, bucket, {
    ...record,
    storageClass: coldest,
    storageClassMs: nowMs,
    metageneration: record.metageneration + 1,
    updatedMs: nowMs,
  });
}

function coldness(storageClass: string): number {
  return ['NEARLINE', 'COLDLINE', 'ARCHIVE'].indexOf(storageClass);
}

function conditionMet(condition: LifecycleCondition, version: Version, nowMs: number): boolean {
  const { record } = version;
  const olderThan = (sinceMs: number | undefined, days: number | undefined): boolean =>
    days === undefined || (sinceMs !== undefined && nowMs - sinceMs >= days * DAY_MS);
  const before = (ms: number | undefined, date: string | undefined): boolean =>
    date === undefined || (ms !== undefined && ms < Date.parse(date));
  const customTime = record.fields['customTime'];
  const customMs = typeof customTime === 'string' ? Date.parse(customTime) : undefined;
  return (
    olderThan(record.createdMs, condition.age) &&
    olderThan(record.noncurrentMs, condition.daysSinceNoncurrentTime) &&
    olderThan(customMs, condition.daysSinceCustomTime) &&
    before(record.createdMs, condition.createdBefore) &&
    before(record.noncurrentMs, condition.noncurrentTimeBefore) &&
    before(customMs, condition.customTimeBefore) &&
    (condition.isLive === undefined || condition.isLive === (record.noncurrentMs === undefined)) &&
    (condition.numNewerVersions === undefined ||
      (record.noncurrentMs !== undefined && version.newer >= condition.numNewerVersions)) &&
    (condition.matchesStorageClass === undefined ||
      condition.matchesStorageClass.some((storageClass) => storageClass === record.storageClass)) &&
    nameMatches(condition, record.name)
  );
}

function nameMatches(condition: LifecycleCondition, name: string): boolean {
  const { matchesPrefix, matchesSuffix } = condition;
  return (
    (matchesPrefix === undefined || matchesPrefix.some((prefix) => name.startsWith(prefix))) &&
    (matchesSuffix === undefined || matchesSuffix.some((suffix) => name.endsWith(suffix)))
  );
}

function abortUploads(context: GcsContext, bucket: BucketRecord, rules: readonly LifecycleRule[]): void {
  const aborting = rules.filter((rule) => rule.action.type === 'AbortIncompleteMultipartUpload');
  if (aborting.length === 0) return;
  const { uploads, parts } = context.tables;
  const nowMs = context.clock.now();
  const open = [...uploads.entries()].filter(
    ([, upload]) => upload.kind === 'multipart' && upload.state === 'open' && upload.bucket === bucket.name,
  );
  for (const [id, upload] of open) {
    const due = aborting.some(
      (rule) =>
        nowMs - upload.createdMs >= (rule.condition.age ?? 0) * DAY_MS && nameMatches(rule.condition, upload.name),
    );
    if (!due) continue;
    for (const key of parts.keys(id)) parts.delete(key);
    uploads.delete(id);
  }
}
