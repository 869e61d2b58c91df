import type { Desired, Plan } from '#controller/contract.ts';
import { bucketLocation } from '#resources/bucket.ts';
import type { bucket } from '#resources/bucket.ts';
import type { BucketView, PolicyView } from '#reconcilers/providers/gcs/replies.ts';
import type { BucketAction, ExposeBucket, LockRetention, UpdateBucket } from './actions.ts';
import { exposureOf } from './exposure.ts';
import type { BucketObserved } from './observed.ts';
import { elsewhere, foreign, notEmpty, objectRetentionFixed, retained, retentionLocked, unmarked } from './stalls.ts';
import {
  createBody,
  differences,
  isMarked,
  lockedAgainst,
  markLabels,
  mergedPatch,
  uidLabel,
  wantsLock,
  workspaceLabel,
} from './wanted.ts';
import type { BucketSpec, Difference } from './wanted.ts';

type BucketPlan = Plan<BucketAction>;

/** How long until something that could not be read is looked for again. */
const lookAgainMs = 5_000;

/**
 * What should happen to a bucket next; one action at a time, because each moves the metageneration that guards the next. Order: what
 * protects (settings, concealing) before what exposes or loses. Pure.
 */
export function planBucket(desired: Desired<typeof bucket>, observed: BucketObserved): BucketPlan {
  return desired.state === 'absent' ? planAbsent(desired, observed) : planPresent(desired.spec, observed);
}

function planPresent(spec: BucketSpec, observed: BucketObserved): BucketPlan {
  const { sight } = observed;
  if (sight.found === 'foreign') return foreign(observed, spec);
  if (sight.found === 'absent') return create(spec, observed);
  if (!isMarked(sight.bucket, observed)) return planUnmarked(spec, observed, sight.bucket);
  if (!isInCanada(sight.bucket)) return elsewhere(observed, spec, sight.bucket.location);
  if (sight.bucket.objectRetention !== spec.objectRetention) {
    return objectRetentionFixed(observed, spec, sight.bucket.objectRetention);
  }
  if (lockedAgainst(sight.bucket, spec)) return retentionLocked(observed, sight.bucket);
  return planOurs(spec, observed, sight.bucket);
}

const isInCanada = (found: BucketView): boolean => found.location === bucketLocation;

function create(spec: BucketSpec, observed: BucketObserved): BucketPlan {
  const { external } = observed;
  const action: BucketAction = {
    type: 'create',
    effect: 'create',
    risk: 'free',
    bucket: external,
    body: createBody(external, spec, observed),
    objectRetention: spec.objectRetention,
    changes: [{ path: 'bucket', have: null, want: external }],
  };
  const later = [
    ...(wantsLock(null, spec) ? [lock(external, spec, '0')] : []),
    ...(spec.publicRead ? [expose(external, { metageneration: '0', prevented: false })] : []),
  ];
  return act(action, later);
}

function planUnmarked(spec: BucketSpec, observed: BucketObserved, found: BucketView): BucketPlan {
  const label = found.labels[workspaceLabel];
  const adoptable = isInCanada(found) && (label === undefined || label === observed.workspace);
  if (!adoptable || spec.adopt !== observed.external) return unmarked(observed, spec, adoptable);
  return act({
    type: 'adopt',
    effect: 'update',
    risk: 'free',
    bucket: observed.external,
    patch: { labels: markLabels(observed) },
    guard: { metageneration: found.metageneration },
    changes: [{ path: `labels.${uidLabel}`, have: found.labels[uidLabel] ?? null, want: observed.uid }],
  });
}

function planOurs(spec: BucketSpec, observed: BucketObserved, found: BucketView): BucketPlan {
  const { external } = observed;
  const differing = differences(found, spec, observed);
  const safe = differing.filter((difference) => !difference.loses);
  const losing = differing.filter((difference) => difference.loses).map((one) => update(external, found, [one]));
  const locking = wantsLock(found, spec) ? [lock(external, spec, found.metageneration)] : [];
  const exposing = observed.policy === null ? [] : exposures(external, spec, { found, policy: observed.policy });
  const later = [...losing, ...locking, ...exposing];
  if (safe.length > 0) return act(update(external, found, safe), later);
  if (observed.policy !== null && exposureOf(observed.policy, spec.publicRead).beyond.length > 0) {
    return act(conceal(external, spec, observed.policy), later);
  }
  const [next] = later;
  if (next !== undefined) return act(next, later);
  if (observed.policy === null) return policyMissing(external);
  return spec.publicRead && observed.policyLags ? policyLagging(external) : { verdict: 'converged' };
}

/** One action now; `preview` holds every guarded-or-higher one until convergence, the present one included. */
function act(action: BucketAction, later: readonly BucketAction[] = []): BucketPlan {
  const preview = [action, ...later.filter((one) => one !== action)].filter((one) => one.risk !== 'free');
  return { verdict: 'act', actions: [action], ...(preview.length > 0 ? { preview } : {}) };
}

/** Who may read is not known; the bucket may just have been deleted. */
function policyMissing(external: string): BucketPlan {
  const message = `The policy of bucket "${external}" cannot be read yet: who may read it is not known.`;
  return { verdict: 'wait', reason: 'Verifying', message, retryAfterMs: lookAgainMs };
}

/** It reads as declared, and may so by accident. */
function policyLagging(external: string): BucketPlan {
  const message = `Bucket "${external}" has just been changed: whether everyone may read it is looked at again.`;
  return { verdict: 'wait', reason: 'Verifying', message, retryAfterMs: lookAgainMs };
}

function update(external: string, found: BucketView, parts: readonly Difference[]): UpdateBucket {
  return {
    type: 'update',
    effect: 'update',
    risk: parts.some((part) => part.loses) ? 'guarded' : 'free',
    bucket: external,
    patch: mergedPatch(parts.map((part) => part.patch)),
    guard: { metageneration: found.metageneration },
    changes: parts.map((part) => part.change),
  };
}

function lock(external: string, spec: BucketSpec, metageneration: string): LockRetention {
  return {
    type: 'lock-retention',
    effect: 'update',
    risk: 'irreversible',
    bucket: external,
    days: spec.retention?.days ?? 0,
    guard: { metageneration },
    changes: [{ path: 'spec.retention.locked', have: false, want: true }],
  };
}

function exposures(
  external: string,
  spec: BucketSpec,
  { found, policy }: { found: BucketView; policy: PolicyView },
): ExposeBucket[] {
  if (!spec.publicRead) return [];
  if (!found.publicAccessPrevented && exposureOf(policy, true).reads) return [];
  return [expose(external, { metageneration: found.metageneration, prevented: found.publicAccessPrevented })];
}

function expose(external: string, guard: ExposeBucket['guard']): ExposeBucket {
  return {
    type: 'expose',
    effect: 'update',
    risk: 'guarded',
    bucket: external,
    guard,
    changes: [{ path: 'spec.publicRead', have: false, want: true }],
  };
}

function conceal(external: string, spec: BucketSpec, policy: PolicyView): BucketAction {
  const { beyond } = exposureOf(policy, spec.publicRead);
  return {
    type: 'conceal',
    effect: 'update',
    risk: 'free',
    bucket: external,
    publicRead: spec.publicRead,
    changes: beyond.slice(0, 50).map((grant) => ({ path: 'policy', have: grant, want: null })),
  };
}

function planAbsent(desired: Desired<typeof bucket> & { state: 'absent' }, observed: BucketObserved): BucketPlan {
  const { sight } = observed;
  // A bucket without our mark is not ours to delete: nothing of ours is left.
  if (sight.found !== 'readable' || !isMarked(sight.bucket, observed)) return { verdict: 'converged' };
  if (desired.policy === 'Orphan') return act(release(observed, sight.bucket));
  if (!isInCanada(sight.bucket)) return elsewhere(observed, desired.spec, sight.bucket.location);
  const { contents } = observed;
  if (contents === null) return contentsMissing(observed.external);
  if (contents.first === null) return act(remove(observed.external, sight.bucket.metageneration));
  if (!desired.spec.emptyBeforeDelete) return notEmpty(observed);
  if (contents.retainedUntil !== null || contents.onHold) return retained(observed, contents.retainedUntil);
  return act(
    {
      type: 'empty',
      effect: 'delete',
      risk: 'guarded',
      destroysData: true,
      bucket: observed.external,
      step: contents.first,
      changes: [{ path: 'objects', have: 'some', want: null }],
    },
    [remove(observed.external, sight.bucket.metageneration)],
  );
}

/** The bucket vanished between two looks: the next look tells. */
function contentsMissing(external: string): BucketPlan {
  const message = `The objects of bucket "${external}" could not be listed; the bucket may just have been deleted.`;
  return { verdict: 'wait', reason: 'Verifying', message, retryAfterMs: lookAgainMs };
}

function release(observed: BucketObserved, found: BucketView): BucketAction {
  return {
    type: 'release',
    effect: 'release',
    risk: 'free',
    bucket: observed.external,
    patch: { labels: { [workspaceLabel]: null, [uidLabel]: null } },
    guard: { metageneration: found.metageneration },
    changes: [{ path: `labels.${uidLabel}`, have: observed.uid, want: null }],
  };
}

function remove(external: string, metageneration: string): BucketAction {
  return {
    type: 'delete',
    effect: 'delete',
    risk: 'guarded',
    bucket: external,
    guard: { metageneration },
    changes: [{ path: 'bucket', have: external, want: null }],
  };
}
