// The form of lifecycle rules: what buckets.patch accepts. What the rules do is in lifecycle.ts.

import { z } from 'zod';

/** Rules of one bucket, and prefixes plus suffixes of one rule set (lifecycle page). */
const RULES_MAX = 100;

export const STORAGE_CLASSES = [
  'STANDARD',
  'NEARLINE',
  'COLDLINE',
  'ARCHIVE',
  'MULTI_REGIONAL',
  'REGIONAL',
  'DURABLE_REDUCED_AVAILABILITY',
] as const;

const count = z.int().min(0).max(2_147_483_647);
const day = z.iso.date();
const affixes = z.array(z.string().min(1)).min(1).max(1_000);

const conditionSchema = z
  .object({
    age: count,
    createdBefore: day,
    customTimeBefore: day,
    daysSinceCustomTime: count,
    daysSinceNoncurrentTime: count,
    isLive: z.boolean(),
    matchesPrefix: affixes,
    matchesStorageClass: z.array(z.enum(STORAGE_CLASSES)).min(1),
    matchesSuffix: affixes,
    noncurrentTimeBefore: day,
    numNewerVersions: count,
  })
  .partial()
  .refine((condition) => Object.keys(condition).length > 0, 'A lifecycle rule must have at least one condition.');

const actionSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('Delete') }),
  z.object({ type: z.literal('SetStorageClass'), storageClass: z.enum(STORAGE_CLASSES) }),
  z.object({ type: z.literal('AbortIncompleteMultipartUpload') }),
]);

const ABORT_CONDITIONS = new Set(['age', 'matchesPrefix', 'matchesSuffix']);

const ruleSchema = z
  .object({ action: actionSchema, condition: conditionSchema })
  .refine(
    (rule) =>
      rule.action.type !== 'AbortIncompleteMultipartUpload' ||
      Object.keys(rule.condition).every((key) => ABORT_CONDITIONS.has(key)),
    'AbortIncompleteMultipartUpload allows the conditions age, matchesPrefix and matchesSuffix only.',
  );

export const lifecycleSchema = z.object({ rule: z.array(ruleSchema).max(RULES_MAX).optional() });

export type LifecycleRule = z.infer<typeof ruleSchema>;
export type LifecycleCondition = z.infer<typeof conditionSchema>;
