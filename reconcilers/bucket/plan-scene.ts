import type { Plan, StalledPlan } from '#controller/contract.ts';
import { bucket, externalBucketName } from '#resources/bucket.ts';
import type { JsonObject } from '#resources/json.ts';
import type { BindingView, BucketView } from '#reconcilers/providers/gcs/replies.ts';
import type { BucketAction } from './actions.ts';
import type { BucketObserved, Contents } from './observed.ts';
import { planBucket } from './plan.ts';
import { markLabels, wantedLifecycle } from './wanted.ts';
import type { BucketSpec } from './wanted.ts';

/** What the tests of plan and report share: a bucket as declared but for what a test changes. */

export const mark = { uid: '0b9d7a5e-0000-4000-8000-000000000001', workspace: 'acme' };
export const external = externalBucketName('acme', 'uploads');

export const specOf = (fields: JsonObject = {}): BucketSpec => bucket.spec.parse(fields);

/** A bucket exactly as the spec wants it. */
export function made(spec: BucketSpec, changes: Partial<BucketView> = {}): BucketView {
  return {
    name: external,
    location: 'northamerica-northeast1',
    metageneration: '7',
    storageClass: spec.storageClass,
    labels: markLabels(mark),
    uniformAccess: true,
    publicAccessPrevented: !spec.publicRead,
    versioning: spec.versioning,
    cors: [],
    lifecycle: wantedLifecycle(spec.lifecycle),
    retention:
      spec.retention === null ? null : { seconds: spec.retention.days * 86_400, locked: spec.retention.locked },
    objectRetention: spec.objectRetention,
    updatedAt: null,
    ...changes,
  };
}

export const owners: BindingView = {
  role: 'roles/storage.legacyBucketOwner',
  members: ['projectOwner:p'],
  condition: null,
};
export const reading: BindingView = { role: 'roles/storage.objectViewer', members: ['allUsers'], condition: null };
export const empty: Contents = { first: null, retainedUntil: null, onHold: false };
export const full: Contents = { first: 'a.txt#1', retainedUntil: null, onHold: false };

export function observed(changes: Partial<BucketObserved> = {}): BucketObserved {
  return {
    ...mark,
    name: 'uploads',
    external,
    seenBefore: true,
    sight: { found: 'absent' },
    policy: null,
    policyLags: false,
    contents: null,
    ...changes,
  };
}

export interface World {
  readonly spec?: JsonObject;
  readonly bucket?: Partial<BucketView>;
  readonly bindings?: readonly BindingView[] | null;
  readonly seenBefore?: boolean;
  readonly policyLags?: boolean;
}

/** Plans for a bucket that is there, as declared but for `bucket`. */
export function present({
  spec = {},
  bucket: changes = {},
  bindings,
  seenBefore = true,
  policyLags = false,
}: World = {}): Plan<BucketAction> {
  const parsed = specOf(spec);
  const given = bindings === undefined ? [owners, ...(parsed.publicRead ? [reading] : [])] : bindings;
  return planBucket(
    { state: 'present', spec: parsed },
    observed({
      seenBefore,
      policyLags,
      sight: { found: 'readable', bucket: made(parsed, changes) },
      policy: given === null ? null : { etag: 'CAE=', bindings: given },
    }),
  );
}

interface Removal {
  readonly spec?: JsonObject;
  readonly bucket?: Partial<BucketView>;
  readonly policy?: 'Delete' | 'Orphan';
}

/** Plans the deletion of a bucket that is there. */
export function absent(
  contents: Contents | null,
  { spec = {}, bucket: changes = {}, policy = 'Delete' }: Removal = {},
): Plan<BucketAction> {
  const parsed = specOf(spec);
  return planBucket(
    { state: 'absent', policy, spec: parsed },
    observed({ sight: { found: 'readable', bucket: made(parsed, changes) }, contents }),
  );
}

export const action = (plan: Plan<BucketAction>): BucketAction => {
  if (plan.verdict !== 'act') throw new Error(`the plan does not act: ${JSON.stringify(plan)}`);
  if (plan.actions.length !== 1) throw new Error('the plan has several actions');
  return plan.actions[0];
};
export const previewed = (plan: Plan<BucketAction>): string[] =>
  plan.verdict === 'act' ? (plan.preview ?? []).map((one) => one.type) : [];
export const stall = (plan: Plan<BucketAction>): StalledPlan => {
  if (plan.verdict !== 'stalled') throw new Error(`the plan is not stalled: ${JSON.stringify(plan)}`);
  return plan;
};
export const remedies = (plan: Plan<BucketAction>): string[] => stall(plan).remedy.map((one) => one.id);
