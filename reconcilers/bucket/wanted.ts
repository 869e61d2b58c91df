import type { CorsRule, LifecycleRule } from '#resources/bucket-spec.ts';
import type { bucket } from '#resources/bucket.ts';
import { bucketLocation } from '#resources/bucket.ts';
import type { Change } from '#resources/condition.ts';
import { sameJson } from '#resources/json.ts';
import type { Json, JsonObject } from '#resources/json.ts';
import type { SpecOf } from '#resources/kind.ts';
import { normalCors, normalLifecycle } from '#reconcilers/providers/gcs/replies.ts';
import type { BucketView, LifecycleView } from '#reconcilers/providers/gcs/replies.ts';

/** From what is declared to what the provider should hold, and where the two differ. Pure. */

export type BucketSpec = SpecOf<typeof bucket>;

/** Whose bucket it is: the labels that mark it as ours. */
export interface Mark {
  readonly uid: string;
  readonly workspace: string;
}

export const uidLabel = 'vibn-uid';
export const workspaceLabel = 'workspace';
const secondsPerDay = 86_400;

/** The labels of our mark. */
export function markLabels(mark: Mark): Record<string, string> {
  return { [workspaceLabel]: mark.workspace, [uidLabel]: mark.uid };
}

/** Whether the bucket carries our mark: the uid decides, for it is never used twice. */
export function isMarked(bucket: BucketView, mark: Mark): boolean {
  return bucket.labels[uidLabel] === mark.uid;
}

/** The declared rules in the provider's words, as a sorted set. */
export function wantedLifecycle(rules: readonly LifecycleRule[]): LifecycleView[] {
  return normalLifecycle(rules.map(wireRule));
}

function wireRule(rule: LifecycleRule): LifecycleView {
  const { action, age } = actionOf(rule);
  return { action, condition: { age, ...(rule.prefix === undefined ? {} : { matchesPrefix: [rule.prefix] }) } };
}

function actionOf(rule: LifecycleRule): { action: JsonObject; age: number } {
  if (rule.deleteAfterDays !== undefined) return { action: { type: 'Delete' }, age: rule.deleteAfterDays };
  if (rule.archiveAfterDays !== undefined) {
    return { action: { type: 'SetStorageClass', storageClass: 'ARCHIVE' }, age: rule.archiveAfterDays };
  }
  return { action: { type: 'AbortIncompleteMultipartUpload' }, age: rule.abortMultipartAfterDays ?? 0 };
}

const wantedCors = (rules: readonly CorsRule[]): Json => normalCors(rules) as unknown as Json;
const retentionSeconds = (spec: BucketSpec): number | null =>
  spec.retention === null ? null : spec.retention.days * secondsPerDay;

/** Body of the create call: everything at once, so that a bucket never exists half configured. */
export function createBody(name: string, spec: BucketSpec, mark: Mark): JsonObject {
  const seconds = retentionSeconds(spec);
  return {
    name,
    location: bucketLocation.toUpperCase(),
    storageClass: spec.storageClass,
    labels: markLabels(mark),
    iamConfiguration: {
      uniformBucketLevelAccess: { enabled: true },
      publicAccessPrevention: spec.publicRead ? 'inherited' : 'enforced',
    },
    ...(spec.versioning ? { versioning: { enabled: true } } : {}),
    ...(spec.cors.length > 0 ? { cors: wantedCors(spec.cors) } : {}),
    ...(spec.lifecycle.length > 0 ? { lifecycle: { rule: wantedLifecycle(spec.lifecycle) as unknown as Json } } : {}),
    ...(seconds === null ? {} : { retentionPolicy: { retentionPeriod: String(seconds) } }),
  };
}

/** One managed field that is not as declared. `loses`: the change may cost data or its protection. */
export interface Difference {
  readonly change: Change;
  /** Merge patch that puts it right. */
  readonly patch: JsonObject;
  readonly loses: boolean;
}

/** Every managed setting that a patch can put right. Public reading is a matter of the policy too: see exposure.ts. */
export function differences(bucket: BucketView, spec: BucketSpec, mark: Mark): Difference[] {
  return [
    ...labelDifferences(bucket, mark),
    ...accessDifferences(bucket, spec),
    ...field('spec.storageClass', bucket.storageClass, spec.storageClass, { storageClass: spec.storageClass }),
    ...field(
      'spec.versioning',
      bucket.versioning,
      spec.versioning,
      { versioning: { enabled: spec.versioning } },
      // Without versioning, a replaced or deleted object is gone.
      !spec.versioning,
    ),
    ...field('spec.cors', bucket.cors as unknown as Json, wantedCors(spec.cors), {
      cors: spec.cors.length === 0 ? null : wantedCors(spec.cors),
    }),
    ...lifecycleDifferences(bucket, spec),
    ...retentionDifferences(bucket, spec),
  ];
}

// oxlint-disable-next-line eslint/max-params -- a row of the table above
function field(path: string, have: Json, want: Json, patch: JsonObject, loses = false): Difference[] {
  return sameJson(have, want) ? [] : [{ change: { path, have, want }, patch, loses }];
}

function labelDifferences(bucket: BucketView, mark: Mark): Difference[] {
  return Object.entries(markLabels(mark)).flatMap(([key, want]) =>
    field(`labels.${key}`, bucket.labels[key] ?? null, want, { labels: { [key]: want } }),
  );
}

function accessDifferences(bucket: BucketView, spec: BucketSpec): Difference[] {
  const uniform = field('uniformBucketLevelAccess', bucket.uniformAccess, true, {
    iamConfiguration: { uniformBucketLevelAccess: { enabled: true } },
  });
  if (spec.publicRead) return uniform;
  const prevented = field(
    'publicAccessPrevention',
    bucket.publicAccessPrevented ? 'enforced' : 'inherited',
    'enforced',
    {
      iamConfiguration: { publicAccessPrevention: 'enforced' },
    },
  );
  return [...uniform, ...prevented];
}

function lifecycleDifferences(bucket: BucketView, spec: BucketSpec): Difference[] {
  const want = wantedLifecycle(spec.lifecycle);
  const patch: JsonObject = { lifecycle: want.length === 0 ? null : { rule: want as unknown as Json } };
  const loses = deletesMore(bucket.lifecycle, want);
  return field('spec.lifecycle', bucket.lifecycle as unknown as Json, want as unknown as Json, patch, loses);
}

/** Whether the wanted rules would delete an object that the present ones would keep, at some age. */
export function deletesMore(have: readonly LifecycleView[], want: readonly LifecycleView[]): boolean {
  const present = have.filter(isDelete);
  return want.filter(isDelete).some((rule) => !present.some((other) => covers(other, rule)));
}

const isDelete = (rule: LifecycleView): boolean => rule.action['type'] === 'Delete';

/** Whether `wide` deletes, as early, all that `narrow` deletes. Conditions that we do not write make no promise. */
function covers(wide: LifecycleView, narrow: LifecycleView): boolean {
  const { age, matchesPrefix, ...others } = wide.condition;
  if (typeof age !== 'number' || Object.keys(others).length > 0) return false;
  if (age > Number(narrow.condition['age'])) return false;
  if (!Array.isArray(matchesPrefix)) return true;
  const [prefix] = Array.isArray(narrow.condition['matchesPrefix'])
    ? (narrow.condition['matchesPrefix'] as Json[])
    : [];
  return (
    typeof prefix === 'string' && matchesPrefix.some((wider) => typeof wider === 'string' && prefix.startsWith(wider))
  );
}

function retentionDifferences(bucket: BucketView, spec: BucketSpec): Difference[] {
  const have = bucket.retention?.seconds ?? null;
  const want = retentionSeconds(spec);
  const patch: JsonObject = { retentionPolicy: want === null ? null : { retentionPeriod: String(want) } };
  return field('spec.retention.days', days(have), days(want), patch, (want ?? 0) < (have ?? 0));
}

const days = (seconds: number | null): number | null => (seconds === null ? null : seconds / secondsPerDay);

/** Whether a locked retention stands against what is declared: it can only be lengthened, for ever. */
export function lockedAgainst(bucket: BucketView, spec: BucketSpec): boolean {
  if (bucket.retention === null || !bucket.retention.locked) return false;
  return spec.retention === null || !spec.retention.locked || (retentionSeconds(spec) ?? 0) < bucket.retention.seconds;
}

/** Whether the retention is declared locked and is not, although its length is right. */
export function wantsLock(bucket: BucketView | null, spec: BucketSpec): boolean {
  return spec.retention?.locked === true && bucket?.retention?.locked !== true;
}

/** Days that a locked retention lasts, rounded up: what a spec must say at least. */
export function lockedDays(bucket: BucketView): number {
  return Math.ceil((bucket.retention?.seconds ?? 0) / secondsPerDay);
}

/** Merges merge patches whose objects do not contradict each other. */
export function mergedPatch(patches: readonly JsonObject[]): JsonObject {
  const merged: Record<string, Json> = {};
  for (const patch of patches) {
    for (const [key, value] of Object.entries(patch)) {
      const known = merged[key];
      merged[key] = isObject(known) && isObject(value) ? { ...known, ...value } : value;
    }
  }
  return merged;
}

function isObject(value: Json | undefined): value is JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
