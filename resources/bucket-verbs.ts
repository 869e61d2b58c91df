import { z } from 'zod';
import { bucketSpec, lifecycleRules } from './bucket-spec.ts';
import type { Json, JsonObject } from './json.ts';
import { commonSpec } from './kind.ts';
import { isPrefix, objectGeneration, objectKey, urlObjectKey } from './object-key.ts';
import type { ResourceKey } from './resource.ts';
import type { Verb, VerbCall } from './verb.ts';

/** Signed URLs live at most 15 minutes (kinds.md, Bucket). */
const ttlSeconds = z.int().min(1).max(900).default(300);
/** An upload's size: 100 MiB unless said, at most the provider's 5 TiB. */
const maxBytes = z
  .int()
  .min(1)
  .max(5 * 1024 ** 4)
  .default(104_857_600);
const contentType = z
  .string()
  .regex(/^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(; ?[\w-]+=[\w."+-]+)*$/)
  .max(255);
const slug = z.string().max(64);
const name = z.string().min(1).max(64);
const inBucket = { workspace: slug, bucket: name.describe('Name of the Bucket row, e.g. "default"') };

/** Defaults are left to admission, which knows the name: a field that is not given stays away. */
function optionalFields(shape: z.ZodRawShape): z.ZodRawShape {
  return Object.fromEntries(
    Object.entries(shape).map(([field, schema]) => [
      field,
      (schema instanceof z.ZodDefault ? (schema.unwrap() as z.ZodType) : (schema as z.ZodType)).optional(),
    ]),
  );
}

/** A field that the input schema knows to be text. */
const text = (value: Json | undefined): string => (typeof value === 'string' ? value : '');

const bucketKey = (workspace: Json | undefined, bucket: Json | undefined): ResourceKey => ({
  workspace: text(workspace),
  kind: 'Bucket',
  name: text(bucket),
});

function read(op: string, scope: Verb['scope'], input: z.ZodObject): Verb {
  return {
    input,
    mutates: false,
    scope,
    call: (given) => ({ do: 'read', op, key: bucketKey(given['workspace'], given['bucket']), input: given }),
  };
}

const create: Verb = {
  input: z.strictObject({
    workspace: slug,
    name: name.default('default'),
    ...optionalFields({ ...bucketSpec, ...commonSpec(false) }),
  }),
  mutates: true,
  scope: 'write',
  call: ({ workspace, name, ...spec }) => ({
    do: 'apply',
    manifest: { kind: 'Bucket', metadata: { workspace: text(workspace), name: text(name) }, spec },
    mustNotExist: true,
  }),
};

const list: Verb = {
  input: z.strictObject({
    workspace: slug,
    limit: z.int().min(1).max(500).optional(),
    cursor: z.string().max(4096).optional(),
  }),
  mutates: false,
  scope: 'read',
  call: ({ workspace, limit, cursor }): VerbCall => ({
    do: 'list',
    workspace: text(workspace),
    kind: 'Bucket',
    ...(typeof limit === 'number' ? { limit } : {}),
    ...(typeof cursor === 'string' ? { cursor } : {}),
  }),
};

const remove: Verb = {
  input: z.strictObject({
    workspace: slug,
    name,
    confirm: z.string().max(64).default('').describe('The name again'),
    planHash: z.string().max(128).optional(),
  }),
  mutates: true,
  scope: 'delete',
  call: ({ workspace, name, confirm, planHash }): VerbCall => ({
    do: 'delete',
    key: bucketKey(workspace, name),
    confirm: text(confirm),
    ...(typeof planHash === 'string' ? { planHash } : {}),
  }),
};

const setLifecycle: Verb = {
  input: z.strictObject({ ...inBucket, lifecycle: lifecycleRules }),
  mutates: true,
  scope: 'write',
  call: ({ workspace, bucket, lifecycle }) => ({
    do: 'patch',
    key: bucketKey(workspace, bucket),
    patch: { lifecycle: lifecycle ?? [] },
  }),
};

const deleteObject: Verb = {
  input: z.strictObject({ ...inBucket, key: objectKey, generation: objectGeneration.optional() }),
  mutates: true,
  scope: 'delete',
  call: ({ workspace, bucket, key, generation }, seed) => ({
    do: 'apply',
    manifest: {
      kind: 'ObjectDeletion',
      metadata: { workspace: text(workspace), name: deletionName(seed) },
      spec: { bucket, name: key, ...(generation === undefined ? {} : { generation }) } as JsonObject,
    },
    mustNotExist: true,
  }),
};

/** A name of 32 characters with 112 random bits of the seed, a UUID. */
function deletionName(seed: string): string {
  return `del-${seed.toLowerCase().replaceAll('-', '').slice(0, 28)}`;
}

/** The storage verbs (surface.md). None of them changes a provider. */
export const bucketVerbs: Readonly<Record<string, Verb>> = {
  'storage.buckets.create': create,
  'storage.buckets.list': list,
  'storage.buckets.delete': remove,
  'storage.set_lifecycle': setLifecycle,
  'storage.delete_object': deleteObject,
  'storage.presign_upload': read(
    'storage.presign_upload',
    'write',
    z.strictObject({ ...inBucket, key: urlObjectKey, contentType, maxBytes, ttlSeconds }),
  ),
  'storage.presign_download': read(
    'storage.presign_download',
    'read',
    z.strictObject({ ...inBucket, key: urlObjectKey, ttlSeconds }),
  ),
  'storage.list_objects': read(
    'storage.list_objects',
    'read',
    z.strictObject({
      ...inBucket,
      prefix: z.string().max(1024).refine(isPrefix, 'A prefix is well-formed Unicode of at most 1024 bytes').optional(),
      limit: z.int().min(1).max(1000).default(100),
      cursor: z.string().min(1).max(4096).optional(),
    }),
  ),
};
