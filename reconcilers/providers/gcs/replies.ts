import { z } from 'zod';
import { canonicalJson } from '#resources/json.ts';
import type { Json, JsonObject } from '#resources/json.ts';

/**
 * Answers of Cloud Storage, parsed and normalised: int64 as text, locations in lower case, defaults that the server leaves out filled in,
 * what we do not manage left out. What does not parse is an error of the caller, never "empty" or "gone".
 */

/** int64 fields are JSON strings; some other servers send numbers. */
const int64 = z.union([z.string().regex(/^\d{1,19}$/), z.int().min(0).transform(String)]);
const flag = z.looseObject({ enabled: z.boolean().default(false) }).default({ enabled: false });

const corsRule = z.looseObject({
  origin: z.array(z.string()).default([]),
  method: z.array(z.string()).default([]),
  responseHeader: z.array(z.string()).default([]),
  maxAgeSeconds: z.int().default(3600),
});

const lifecycleRule = z.looseObject({
  action: z.record(z.string(), z.json()),
  condition: z.record(z.string(), z.json()),
});

const bucketReply = z.looseObject({
  name: z.string().min(1),
  location: z.string().min(1),
  metageneration: int64,
  storageClass: z.string().default('STANDARD'),
  labels: z.record(z.string(), z.string()).default({}),
  versioning: flag,
  iamConfiguration: z
    .looseObject({
      uniformBucketLevelAccess: flag,
      publicAccessPrevention: z.string().default('inherited'),
    })
    .default({ uniformBucketLevelAccess: { enabled: false }, publicAccessPrevention: 'inherited' }),
  cors: z.array(corsRule).default([]),
  lifecycle: z.looseObject({ rule: z.array(lifecycleRule).default([]) }).default({ rule: [] }),
  retentionPolicy: z.looseObject({ retentionPeriod: int64, isLocked: z.boolean().default(false) }).optional(),
  objectRetention: z.looseObject({ mode: z.string().default('') }).optional(),
  updated: z.iso.datetime({ offset: true }).optional(),
});

/** A rule in the server's own words, in one order. */
export interface LifecycleView {
  readonly action: JsonObject;
  readonly condition: JsonObject;
}

export interface CorsView {
  readonly origin: readonly string[];
  readonly method: readonly string[];
  readonly responseHeader: readonly string[];
  readonly maxAgeSeconds: number;
}

/** A bucket as far as we look at it. Soft delete and encryption are left as the server has them. */
export interface BucketView {
  readonly name: string;
  /** Lower case: "northamerica-northeast1". */
  readonly location: string;
  readonly metageneration: string;
  readonly storageClass: string;
  /** Without the platform's own "goog-" labels. */
  readonly labels: Readonly<Record<string, string>>;
  readonly uniformAccess: boolean;
  readonly publicAccessPrevented: boolean;
  readonly versioning: boolean;
  readonly cors: readonly CorsView[];
  /** Sorted: rules are a set. */
  readonly lifecycle: readonly LifecycleView[];
  readonly retention: { readonly seconds: number; readonly locked: boolean } | null;
  readonly objectRetention: boolean;
  /** ISO-8601: when it was last changed; null: not said. */
  readonly updatedAt: string | null;
}

/** Parses a bucket. Throws ZodError. */
export function parseBucket(body: unknown): BucketView {
  const bucket = bucketReply.parse(body);
  const retention = bucket.retentionPolicy;
  return {
    name: bucket.name,
    location: bucket.location.toLowerCase(),
    metageneration: bucket.metageneration,
    storageClass: bucket.storageClass.toUpperCase(),
    labels: Object.fromEntries(Object.entries(bucket.labels).filter(([key]) => !key.startsWith('goog-'))),
    uniformAccess: bucket.iamConfiguration.uniformBucketLevelAccess.enabled,
    publicAccessPrevented: bucket.iamConfiguration.publicAccessPrevention === 'enforced',
    versioning: bucket.versioning.enabled,
    cors: normalCors(bucket.cors),
    lifecycle: normalLifecycle(bucket.lifecycle.rule),
    retention:
      retention === undefined ? null : { seconds: Number(retention.retentionPeriod), locked: retention.isLocked },
    objectRetention: bucket.objectRetention?.mode.toLowerCase() === 'enabled',
    updatedAt: bucket.updated ?? null,
  };
}

/** CORS rules: their order matters, that of their entries does not. */
export function normalCors(rules: readonly CorsView[]): CorsView[] {
  return rules.map((rule) => ({
    origin: [...rule.origin].sort(),
    method: [...rule.method].sort(),
    responseHeader: [...rule.responseHeader].sort(),
    maxAgeSeconds: rule.maxAgeSeconds,
  }));
}

/** Lifecycle rules as a sorted set; lists inside conditions are sets as well, and empty ones mean nothing. */
export function normalLifecycle(rules: readonly LifecycleView[]): LifecycleView[] {
  const normal = rules.map((rule) => ({ action: rule.action, condition: withoutEmpty(rule.condition) }));
  const byText = new Map(normal.map((rule) => [canonicalJson(rule), rule]));
  return [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, rule]) => rule);
}

function withoutEmpty(condition: JsonObject): JsonObject {
  const entries = Object.entries(condition).flatMap(([key, value]): [string, Json][] => {
    if (!Array.isArray(value)) return [[key, value]];
    return value.length === 0
      ? []
      : [
          [
            key,
            value
              .map((item) => canonicalJson(item))
              .sort()
              .map((item) => JSON.parse(item) as Json),
          ],
        ];
  });
  return Object.fromEntries(entries);
}

const bucketsReply = z.looseObject({
  kind: z.literal('storage#buckets'),
  items: z.array(z.looseObject({ name: z.string() })).default([]),
  nextPageToken: z.string().min(1).optional(),
});

/** The bucket of exactly that name in a listing, or null. Throws ZodError. */
export function parseOwnBucket(body: unknown, name: string): BucketView | null {
  const found = bucketsReply.parse(body).items.find((bucket) => bucket.name === name);
  return found === undefined ? null : parseBucket(found);
}

const policyReply = z.looseObject({
  etag: z.string().min(1),
  version: z.int().default(1),
  bindings: z
    .array(
      z.looseObject({
        role: z.string().min(1),
        members: z.array(z.string()).default([]),
        condition: z.record(z.string(), z.json()).nullish(),
      }),
    )
    .default([]),
});

export interface BindingView {
  readonly role: string;
  readonly members: readonly string[];
  readonly condition: JsonObject | null;
}

/** A bucket's IAM policy. `etag` guards a write of it. */
export interface PolicyView {
  readonly etag: string;
  readonly bindings: readonly BindingView[];
}

/** Parses an IAM policy. Throws ZodError. */
export function parsePolicy(body: unknown): PolicyView {
  const policy = policyReply.parse(body);
  return {
    etag: policy.etag,
    bindings: policy.bindings.map((binding) => ({
      role: binding.role,
      members: binding.members,
      condition: (binding.condition ?? null) as JsonObject | null,
    })),
  };
}

const objectReply = z.looseObject({
  name: z.string().min(1),
  generation: int64,
  size: int64.default('0'),
  contentType: z.string().optional(),
  updated: z.iso.datetime({ offset: true }).optional(),
  retentionExpirationTime: z.iso.datetime({ offset: true }).optional(),
  retention: z.looseObject({ retainUntilTime: z.iso.datetime({ offset: true }).optional() }).nullish(),
  temporaryHold: z.boolean().default(false),
  eventBasedHold: z.boolean().default(false),
});

/** One version of an object. */
export interface ObjectView {
  readonly key: string;
  readonly generation: string;
  readonly sizeBytes: number;
  readonly contentType: string | null;
  /** ISO-8601. */
  readonly updatedAt: string | null;
  /** ISO-8601: the later of the bucket's and the object's own retention; null: none. */
  readonly retainedUntil: string | null;
  /** A hold has no end but its release. */
  readonly onHold: boolean;
}

/** Parses an object's metadata. Throws ZodError. */
export function parseObject(body: unknown): ObjectView {
  const object = objectReply.parse(body);
  const ends = [object.retentionExpirationTime, object.retention?.retainUntilTime].filter((time) => time !== undefined);
  return {
    key: object.name,
    generation: object.generation,
    sizeBytes: Number(object.size),
    contentType: object.contentType ?? null,
    updatedAt: object.updated ?? null,
    retainedUntil: ends.sort((a, b) => Date.parse(a) - Date.parse(b)).at(-1) ?? null,
    onHold: object.temporaryHold || object.eventBasedHold,
  };
}

const objectsReply = z.looseObject({
  kind: z.literal('storage#objects'),
  items: z.array(z.unknown()).default([]),
  nextPageToken: z.string().min(1).optional(),
});

export interface ObjectPage {
  readonly objects: readonly ObjectView[];
  /** Null: the last page. */
  readonly nextCursor: string | null;
}

/** Parses a page of objects. An answer without its kind is not an empty page. Throws ZodError. */
export function parseObjects(body: unknown): ObjectPage {
  const page = objectsReply.parse(body);
  return { objects: page.items.map(parseObject), nextCursor: page.nextPageToken ?? null };
}
