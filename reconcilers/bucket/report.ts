import type { Desired, Report } from '#controller/contract.ts';
import { bucketLocation } from '#resources/bucket.ts';
import type { bucket } from '#resources/bucket.ts';
import type { Fact } from '#resources/condition.ts';
import type { BucketView } from '#reconcilers/providers/gcs/replies.ts';
import { exposureOf } from './exposure.ts';
import type { BucketObserved } from './observed.ts';
import { differences, isMarked, lockedAgainst, wantsLock } from './wanted.ts';
import type { BucketSpec } from './wanted.ts';

/** The bucket if it is there with our mark, else null. */
export function ours(observed: BucketObserved): BucketView | null {
  const { sight } = observed;
  return sight.found === 'readable' && isMarked(sight.bucket, observed) ? sight.bucket : null;
}

/** What a user sees of a bucket. Messages hold no counters and no moving times. Pure. */
export function reportBucket(desired: Desired<typeof bucket>, observed: BucketObserved): Report<typeof bucket> {
  const found = ours(observed);
  if (found === null) return { status: {}, facts: missing(observed.external) };
  return {
    status: { external: { name: found.name, location: found.location } },
    facts: [
      fact('Created', 'True', 'Created', `Bucket "${found.name}" exists in ${found.location} with our mark.`),
      policyFact(desired.spec, observed, found),
      exposureFact(desired.spec, observed, found),
    ],
  };
}

// oxlint-disable-next-line eslint/max-params -- a condition in its own order
function fact(type: string, status: Fact['status'], reason: string, message: string): Fact {
  return { type, status, reason, message };
}

function missing(external: string): Fact[] {
  const message = `There is no bucket "${external}" with our mark.`;
  return [
    fact('Created', 'False', 'NotCreated', message),
    fact('PolicyApplied', 'Unknown', 'NotCreated', message),
    fact('PublicAccessAsDeclared', 'Unknown', 'NotCreated', message),
  ];
}

function policyFact(spec: BucketSpec, observed: BucketObserved, found: BucketView): Fact {
  const paths = [
    ...differences(found, spec, observed).map((difference) => difference.change.path),
    ...(wantsLock(found, spec) || lockedAgainst(found, spec) ? ['spec.retention.locked'] : []),
    ...(found.objectRetention === spec.objectRetention ? [] : ['spec.objectRetention']),
    ...(found.location === bucketLocation ? [] : ['location']),
  ];
  if (paths.length === 0)
    return fact('PolicyApplied', 'True', 'PolicyApplied', 'Every managed setting is as declared.');
  const names = [...new Set(paths)].sort().join(', ');
  return fact('PolicyApplied', 'False', 'PolicyDiffers', `Not as declared: ${names}.`);
}

function exposureFact(spec: BucketSpec, observed: BucketObserved, found: BucketView): Fact {
  const type = 'PublicAccessAsDeclared';
  const exposure = observed.policy === null ? null : exposureOf(observed.policy, spec.publicRead);
  if (!spec.publicRead) {
    if (found.publicAccessPrevented) return fact(type, 'True', 'Private', 'Public access is prevented.');
    if (exposure !== null && exposure.beyond.length === 0) {
      return fact(type, 'True', 'Private', 'The policy gives nothing to the public.');
    }
    return fact(type, 'False', 'Exposed', 'Public access is not prevented although spec.publicRead is false.');
  }
  if (exposure !== null && exposure.beyond.length > 0) {
    return fact(
      type,
      'False',
      'Exposed',
      `The public has more than reading: ${exposure.beyond.slice(0, 5).join(', ')}.`,
    );
  }
  return exposure?.reads === true && !found.publicAccessPrevented
    ? fact(type, 'True', 'PublicRead', 'Anyone can read the objects, as declared.')
    : fact(type, 'False', 'NotExposed', 'Public reading is declared and not in effect.');
}
