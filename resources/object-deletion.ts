import { z } from 'zod';
import { externalBucketName } from './bucket.ts';
import { defineKind } from './kind.ts';
import { objectGeneration, objectKey } from './object-key.ts';

/** Deletes one object, once: an object that is not there is as good as deleted. `storage.delete_object` declares it. */
export const objectDeletion = defineKind({
  name: 'ObjectDeletion',
  plural: 'objectdeletions',
  area: 'storage',
  lifecycle: 'once',
  declaring: 'delete',
  spec: {
    bucket: z.string().min(1).max(64).describe('Name of the Bucket row').meta({ immutable: true }),
    name: objectKey.meta({ immutable: true }),
    generation: objectGeneration
      .nullable()
      .default(null)
      .describe('Only this generation; null: the live one')
      .meta({ immutable: true }),
  },
  status: { external: z.strictObject({ bucket: z.string(), name: z.string() }).optional() },
  conditions: ['Deleted'],
  reasons: [
    { reason: 'Deleted', class: 'none', meaning: 'The object is not there (any more).' },
    { reason: 'StillThere', class: 'progress', meaning: 'The object is there.' },
  ],
  references: (spec) => [
    {
      mode: 'needs',
      kind: 'Bucket',
      name: typeof spec['bucket'] === 'string' ? spec['bucket'] : '',
      path: 'spec.bucket',
    } as const,
  ],
  needsKinds: ['Bucket'],
});

/** The bucket at the provider that an ObjectDeletion means. Pure. */
export function bucketOfDeletion(workspace: string, spec: { readonly bucket: string }): string {
  return externalBucketName(workspace, spec.bucket);
}
