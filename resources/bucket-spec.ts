import { z } from 'zod';

/** Rules a bucket has at most (Cloud Storage, lifecycle limits). */
const lifecycleRulesMax = 100;
const corsRulesMax = 20;
const corsEntriesMax = 50;
/** Retention is under 100 years at the provider; lifecycle ages share the bound. */
const daysMax = 36_500;
const maxAgeSecondsMax = 86_400;

const days = z.int().min(1).max(daysMax);
const ageFields = ['deleteAfterDays', 'archiveAfterDays', 'abortMultipartAfterDays'] as const;
const utf8Bytes = (text: string): number => new TextEncoder().encode(text).length;

/** One rule: exactly one of the three ages, in days since the object (or the upload) was created; `prefix` narrows it. */
export const lifecycleRule = z
  .strictObject({
    deleteAfterDays: days.optional(),
    archiveAfterDays: days.optional(),
    abortMultipartAfterDays: days.optional(),
    prefix: z
      .string()
      .min(1)
      .max(1024)
      .refine(
        (prefix) => utf8Bytes(prefix) <= 1024 && !/[\r\n]/.test(prefix),
        'A prefix has at most 1024 bytes and no line break',
      )
      .optional(),
  })
  .refine((rule) => ageFields.filter((field) => rule[field] !== undefined).length === 1, {
    message: `Exactly one of ${ageFields.join(', ')} is needed`,
  });

export const lifecycleRules = z.array(lifecycleRule).max(lifecycleRulesMax);

const headerName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/)
  .max(100);

/** One rule, with Cloud Storage's own field names. Order of rules matters: the first that fits is used. */
const corsRule = z.strictObject({
  origin: z
    .array(
      z
        .string()
        .regex(/^(\*|[a-z][a-z0-9+.-]*:\/\/[^\s/]+)$/)
        .max(253),
    )
    .min(1)
    .max(corsEntriesMax)
    .describe('"*" or scheme://host[:port], without a path'),
  method: z
    .array(z.enum(['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'OPTIONS']))
    .min(1)
    .max(6),
  responseHeader: z.array(headerName).max(corsEntriesMax).default([]),
  maxAgeSeconds: z.int().min(0).max(maxAgeSecondsMax).default(3600),
});

/** The bucket's own spec fields; common fields are added by defineKind. */
export const bucketSpec = {
  publicRead: z.boolean().default(false).describe('Anyone on the Internet may read and list the objects.'),
  storageClass: z.enum(['STANDARD', 'NEARLINE', 'COLDLINE', 'ARCHIVE']).default('STANDARD'),
  versioning: z.boolean().default(false),
  cors: z.array(corsRule).max(corsRulesMax).default([]),
  lifecycle: lifecycleRules.default([]),
  retention: z
    .strictObject({
      days: days.describe('Objects cannot be deleted or replaced for this many days.'),
      locked: z.boolean().default(false).describe('For ever: a locked retention can only be lengthened.'),
    })
    .nullable()
    .default(null),
  objectRetention: z
    .boolean()
    .default(false)
    .describe('Whether single objects can be given a retention. Only at creation; true for the bucket named "default".')
    .meta({ immutable: true }),
  emptyBeforeDelete: z
    .boolean()
    .default(false)
    .describe('Deleting the bucket deletes its objects, after the undo window.'),
};

export type LifecycleRule = z.output<typeof lifecycleRule>;
export type CorsRule = z.output<typeof corsRule>;
