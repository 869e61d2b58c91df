// What keeps a version of an object from being deleted or overwritten: holds, the bucket's retention policy, its own retention.

import { isObject, textOf } from '#hack/cloud/json.ts';
import { isoTime } from './bucket-fields.ts';
import type { BucketRecord, ObjectRecord } from './context.ts';
import { GcsError } from './errors.ts';

/** When the bucket's retention policy lets go of this version; undefined without a policy. */
export function policyExpiryMs(bucket: BucketRecord, object: ObjectRecord): number | undefined {
  const policy = bucket.fields['retentionPolicy'];
  return isObject(policy) ? object.createdMs + Number(policy['retentionPeriod']) * 1_000 : undefined;
}

/** Throws 403 unless the version may be removed for good now. */
export function assertErasable(bucket: BucketRecord, object: ObjectRecord, nowMs: number): void {
  const id = `${bucket.name}/${object.name}`;
  for (const [field, hold] of [
    ['temporaryHold', 'Temporary hold'],
    ['eventBasedHold', 'Event-Based hold'],
  ] as const) {
    if (object.fields[field] !== true) continue;
    const message = `Object '${id}' is under active ${hold} and cannot be deleted, overwritten or archived until hold is removed.`;
    throw new GcsError({ status: 403, reason: 'objectUnderActiveHold', message, xmlCode: 'ObjectUnderActiveHold' });
  }
  const retention = object.fields['retention'];
  const ownMs = isObject(retention) ? Date.parse(textOf(retention['retainUntilTime'])) : 0;
  const untilMs = Math.max(policyExpiryMs(bucket, object) ?? 0, ownMs);
  if (untilMs <= nowMs) return;
  const message = `Object '${id}' is subject to bucket's retention policy or object retention and cannot be deleted or overwritten until ${isoTime(untilMs)}`;
  throw new GcsError({ status: 403, reason: 'retentionPolicyNotMet', message, xmlCode: 'RetentionPolicyNotMet' });
}

/** Whether `assertErasable` would let it go. */
export function isErasable(bucket: BucketRecord, object: ObjectRecord, nowMs: number): boolean {
  try {
    assertErasable(bucket, object, nowMs);
    return true;
  } catch (error) {
    if (error instanceof GcsError) return false;
    throw error;
  }
}
