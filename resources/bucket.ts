import { z } from 'zod';
import { bucketSpec } from './bucket-spec.ts';
import { bucketVerbs } from './bucket-verbs.ts';
import type { Json, JsonObject } from './json.ts';
import { defineKind } from './kind.ts';
import type { UpdateProblem } from './kind.ts';

/** Where everything is kept (architecture §2, law 9). */
export const bucketLocation = 'northamerica-northeast1';

/** The workspace's first bucket; it alone has the bare external name. */
export const defaultBucketName = 'default';

/**
 * External name of a bucket: at most 63 characters, the provider's limit ("vibn-ws-" 8, slug 22, "-" 1, name 32). Slugs have no hyphen,
 * so that no two rows share one. Pure.
 */
export function externalBucketName(workspace: string, name: string): string {
  return name === defaultBucketName ? `vibn-ws-${workspace}` : `vibn-ws-${workspace}-${name}`;
}

/** A bucket of Cloud Storage, in Canada, with uniform access. */
export const bucket = defineKind({
  name: 'Bucket',
  plural: 'buckets',
  area: 'storage',
  holdsData: true,
  spec: bucketSpec,
  status: { external: z.strictObject({ name: z.string(), location: z.string() }).optional() },
  conditions: ['Created', 'PolicyApplied', 'PublicAccessAsDeclared'],
  reasons: [
    { reason: 'Created', class: 'none', meaning: 'The bucket exists with our mark.' },
    { reason: 'PolicyApplied', class: 'none', meaning: 'Every managed setting is as declared.' },
    { reason: 'Private', class: 'none', meaning: 'Nobody outside the project can read the objects.' },
    { reason: 'PublicRead', class: 'none', meaning: 'Anyone can read the objects, as declared.' },
    { reason: 'NotCreated', class: 'progress', meaning: 'There is no bucket of ours yet, or not any more.' },
    { reason: 'PolicyDiffers', class: 'drift', meaning: 'A managed setting is not as declared.' },
    {
      reason: 'Exposed',
      class: 'drift',
      meaning: 'The objects can be read by the public although that is not declared.',
    },
    { reason: 'NotExposed', class: 'progress', meaning: 'Public reading is declared and not in effect yet.' },
  ],
  verbs: bucketVerbs,
  claims: (_spec, workspace, name) => externalBucketName(workspace, name),
  defaults: (raw, _workspace, name) => (name === defaultBucketName ? { objectRetention: true, ...raw } : raw),
  checkUpdate,
});

/** A locked retention is for ever: it may only be lengthened (gcp-aws wire facts: Locked retention). */
function checkUpdate(before: JsonObject, after: JsonObject): readonly UpdateProblem[] {
  const was = retentionOf(before['retention']);
  if (was === null || !was.locked) return [];
  const now = retentionOf(after['retention']);
  const allowed = { days: { minimum: was.days }, locked: true };
  if (now === null || !now.locked) {
    return [{ path: 'retention', message: 'A locked retention cannot be removed or unlocked.', allowed }];
  }
  if (now.days >= was.days) return [];
  const message = `A locked retention can only be lengthened: ${now.days} days are less than ${was.days}.`;
  return [{ path: 'retention.days', message, allowed: allowed.days }];
}

function retentionOf(value: Json | undefined): { days: number; locked: boolean } | null {
  const parsed = bucketSpec.retention.safeParse(value);
  return parsed.success ? parsed.data : null;
}
