// The writable fields of a bucket: checked, defaulted and normalised as the provider does it. Pure.
//
// `normaliseFields` takes what the bucket should be (a create body, or the old fields with a merge patch applied) and the fields as they
// were, and answers the fields as they will be read back. Wire facts: gcp-aws §2.2 and §2.3.

import { z } from 'zod';
import { isObject, sameJson, type Json, type JsonObject } from '#hack/cloud/json.ts';
import { conditionNotMet, forbidden, invalid } from './errors.ts';
import { lifecycleSchema, STORAGE_CLASSES } from './lifecycle-rules.ts';
import { DEFAULT_LOCATION, locationTypeOf } from './locations.ts';

/** Fields as answered, without identity, counters and times. */
export type BucketFields = JsonObject;

interface UpdateContext {
  /** The bucket's name, for messages. */
  readonly name: string;
  readonly nowMs: number;
  /** The fields before; undefined at creation. */
  readonly previous: BucketFields | undefined;
}

interface Context extends UpdateContext {
  /** The location asked for, in upper case. */
  readonly location: string;
}

type Normalise = (value: Json | undefined, context: Context) => Json | undefined;

const DAY_MS = 86_400_000;
const SOFT_DELETE_SECONDS_DEFAULT = 604_800;
const SOFT_DELETE_SECONDS_MAX = 7_776_000;
/** Under 100 years: retentionPeriod's documented bound. */
const RETENTION_SECONDS_MAX = 3_155_760_000;
/** How long uniform access can be taken back. */
const UBLA_LOCK_DAYS = 90;
const LABELS_MAX = 64;
const LABEL_KEY = /^[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}$/u;
const LABEL_VALUE = /^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$/u;

const int64 = z.union([z.string().regex(/^\d{1,18}$/), z.int().min(0)]).transform(String);
const flag = z.object({ enabled: z.boolean().optional() });

const corsSchema = z.array(
  z.object({
    origin: z.array(z.string().min(1)).optional(),
    method: z.array(z.enum(['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'PATCH', '*'])).optional(),
    responseHeader: z.array(z.string().min(1)).optional(),
    maxAgeSeconds: z.int().min(0).max(2_147_483_647).optional(),
  }),
);

/** Fields whose form is checked and which are otherwise kept as sent. */
const PLAIN_SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  website: z.object({ mainPageSuffix: z.string().optional(), notFoundPage: z.string().optional() }),
  logging: z.object({ logBucket: z.string(), logObjectPrefix: z.string().optional() }),
  billing: z.object({ requesterPays: z.boolean().optional() }),
  encryption: z.object({ defaultKmsKeyName: z.string().optional() }),
  autoclass: z.object({ enabled: z.boolean(), terminalStorageClass: z.string().optional() }),
  defaultEventBasedHold: z.boolean(),
  hierarchicalNamespace: flag,
};

const NORMALISERS: Readonly<Record<string, Normalise>> = {
  location,
  locationType: (_value, context) => locationTypeOf(context.location),
  rpo,
  storageClass,
  labels,
  versioning,
  cors,
  lifecycle,
  retentionPolicy,
  softDeletePolicy,
  iamConfiguration,
};

/** Fields that a caller may write; others in a body are ignored. `location` only at creation. */
export const WRITABLE_FIELDS: ReadonlySet<string> = new Set(
  [...Object.keys(NORMALISERS), ...Object.keys(PLAIN_SCHEMAS)].filter((field) => field !== 'locationType'),
);

/** The fields as they will be read back. Throws GcsError 400 (bad value) or 403 (one-way field). */
export function normaliseFields(wanted: JsonObject, update: UpdateContext): BucketFields {
  const fields: Record<string, Json> = {};
  const place = wanted['location'] ?? update.previous?.['location'] ?? DEFAULT_LOCATION;
  const context = { ...update, location: typeof place === 'string' ? place.toUpperCase() : '' };
  for (const [field, normalise] of Object.entries(NORMALISERS)) put(fields, field, normalise(wanted[field], context));
  for (const [field, schema] of Object.entries(PLAIN_SCHEMAS)) {
    const value = wanted[field];
    if (value !== undefined) put(fields, field, parse(field, schema, value) as Json);
  }
  return fields;
}

function put(fields: Record<string, Json>, field: string, value: Json | undefined): void {
  if (value !== undefined) fields[field] = value;
}

function parse<T>(field: string, schema: z.ZodType<T>, value: Json): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw invalid(`Invalid argument: ${[field, ...(issue?.path ?? [])].join('.')}: ${issue?.message ?? 'not valid'}`);
}

function location(_value: Json | undefined, context: Context): Json {
  const wanted = context.location;
  if (locationTypeOf(wanted) === undefined) throw invalid('The specified location constraint is not valid.');
  const previous = context.previous?.['location'];
  if (previous !== undefined && previous !== wanted) throw invalid('The location of a bucket cannot be changed.');
  return wanted;
}

function rpo(value: Json | undefined, context: Context): Json | undefined {
  const region = locationTypeOf(context.location) === 'region';
  if (value === undefined) return region ? undefined : 'DEFAULT';
  if (value !== 'DEFAULT' && value !== 'ASYNC_TURBO')
    throw invalid('Invalid argument: rpo: use DEFAULT or ASYNC_TURBO');
  if (region) throw invalid('rpo can be set for dual-region and multi-region buckets only.');
  return value;
}

function storageClass(value: Json | undefined): Json {
  if (value === undefined) return 'STANDARD';
  const known = STORAGE_CLASSES.find((name) => typeof value === 'string' && name === value.toUpperCase());
  if (known === undefined)
    throw invalid(`Invalid storage class: ${JSON.stringify(value)}; use one of ${STORAGE_CLASSES.join(', ')}`);
  return known;
}

function labels(value: Json | undefined): Json | undefined {
  if (value === undefined) return undefined;
  const map = parse('labels', z.record(z.string(), z.string()), value);
  const entries = Object.entries(map);
  if (entries.length > LABELS_MAX) throw invalid(`Invalid argument: a bucket can have at most ${LABELS_MAX} labels.`);
  for (const [key, text] of entries) {
    if (!LABEL_KEY.test(key))
      throw invalid(
        `Invalid argument: label key "${key}" (lower-case letter first, then letters, digits, _ or -, at most 63).`,
      );
    if (!LABEL_VALUE.test(text))
      throw invalid(`Invalid argument: value of label "${key}" (lower-case letters, digits, _ or -, at most 63).`);
  }
  return entries.length === 0 ? undefined : map;
}

function versioning(value: Json | undefined): Json | undefined {
  return value === undefined ? undefined : { enabled: parse('versioning', flag, value).enabled ?? false };
}

function cors(value: Json | undefined): Json | undefined {
  if (value === undefined) return undefined;
  const rules = parse('cors', corsSchema, value);
  return rules.length === 0 ? undefined : (rules as unknown as Json);
}

function lifecycle(value: Json | undefined): Json | undefined {
  if (value === undefined) return undefined;
  const rules = parse('lifecycle', lifecycleSchema, value).rule ?? [];
  return rules.length === 0 ? undefined : ({ rule: rules } as unknown as Json);
}

function retentionPolicy(value: Json | undefined, context: Context): Json | undefined {
  const previous = context.previous?.['retentionPolicy'];
  const before = isObject(previous) ? previous : undefined;
  const locked = before?.['isLocked'] === true;
  const period =
    value === undefined
      ? undefined
      : parse('retentionPolicy', z.object({ retentionPeriod: int64 }), value).retentionPeriod;
  if (period === undefined) {
    if (locked) throw forbidden(`Cannot remove locked Retention Policy for bucket '${context.name}'.`);
    return undefined;
  }
  const seconds = Number(period);
  if (seconds < 1 || seconds >= RETENTION_SECONDS_MAX) {
    throw invalid(
      `Invalid argument: retentionPolicy.retentionPeriod must be greater than 0 and less than ${RETENTION_SECONDS_MAX} seconds.`,
    );
  }
  if (locked && seconds < Number(before['retentionPeriod'])) {
    throw forbidden(`Cannot reduce retention duration of a locked Retention Policy for bucket '${context.name}'.`);
  }
  if (before !== undefined && before['retentionPeriod'] === period) return before;
  return { retentionPeriod: period, effectiveTime: isoTime(context.nowMs), ...(locked ? { isLocked: true } : {}) };
}

function softDeletePolicy(value: Json | undefined, context: Context): Json {
  const schema = z.object({ retentionDurationSeconds: int64.optional() });
  const wanted = value === undefined ? undefined : parse('softDeletePolicy', schema, value).retentionDurationSeconds;
  const duration = wanted ?? String(SOFT_DELETE_SECONDS_DEFAULT);
  const seconds = Number(duration);
  if (seconds !== 0 && (seconds < SOFT_DELETE_SECONDS_DEFAULT || seconds > SOFT_DELETE_SECONDS_MAX)) {
    throw invalid(
      `Invalid argument: softDeletePolicy.retentionDurationSeconds must be 0 or between ${SOFT_DELETE_SECONDS_DEFAULT} and ${SOFT_DELETE_SECONDS_MAX}.`,
    );
  }
  const before = context.previous?.['softDeletePolicy'];
  if (isObject(before) && before['retentionDurationSeconds'] === duration) return before;
  return { retentionDurationSeconds: duration, effectiveTime: isoTime(context.nowMs) };
}

const iamSchema = z.object({
  uniformBucketLevelAccess: flag.optional(),
  bucketPolicyOnly: flag.optional(),
  publicAccessPrevention: z.enum(['inherited', 'enforced', 'unspecified']).optional(),
});

function iamConfiguration(value: Json | undefined, context: Context): Json {
  const wanted = parse('iamConfiguration', iamSchema, value ?? {});
  const before = context.previous?.['iamConfiguration'];
  const earlier = isObject(before) ? before['uniformBucketLevelAccess'] : undefined;
  const uniform = uniformAccess(wanted, isObject(earlier) ? earlier : undefined, context);
  const prevention = wanted.publicAccessPrevention === 'enforced' ? 'enforced' : 'inherited';
  return { bucketPolicyOnly: uniform, uniformBucketLevelAccess: uniform, publicAccessPrevention: prevention };
}

function uniformAccess(
  wanted: z.infer<typeof iamSchema>,
  before: JsonObject | undefined,
  context: Context,
): JsonObject {
  const modern = wanted.uniformBucketLevelAccess?.enabled;
  const old = wanted.bucketPolicyOnly?.enabled;
  // The two are one switch under two names: a patch of either must win over the other's old value.
  const changed = [modern, old].find((enabled) => enabled !== undefined && enabled !== (before?.['enabled'] ?? false));
  const enabled = changed ?? modern ?? old ?? false;
  if (!enabled) {
    const lockedTime = before?.['lockedTime'];
    if (typeof lockedTime === 'string' && context.nowMs >= Date.parse(lockedTime)) {
      throw conditionNotMet(
        `Uniform bucket-level access of bucket '${context.name}' can no longer be disabled: it was locked at ${lockedTime}.`,
      );
    }
    return { enabled: false };
  }
  return before?.['enabled'] === true
    ? before
    : { enabled: true, lockedTime: isoTime(context.nowMs + UBLA_LOCK_DAYS * DAY_MS) };
}

/** RFC 3339 with milliseconds, as every time in answers. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** Whether an update changes anything that can be read back. */
export function sameFields(a: BucketFields, b: BucketFields): boolean {
  return sameJson(a, b);
}
