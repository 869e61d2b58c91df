import type { StalledPlan } from '#controller/contract.ts';
import { bucketLocation } from '#resources/bucket.ts';
import type { Remedy } from '#resources/condition.ts';
import type { JsonObject } from '#resources/json.ts';
import { topic } from '#resources/topic.ts';
import type { BucketView } from '#reconcilers/providers/gcs/replies.ts';
import type { BucketObserved } from './observed.ts';
import { lockedDays } from './wanted.ts';
import type { BucketSpec } from './wanted.ts';

/** Every reason for which a Bucket cannot get on by itself, with its words and ways out. Pure. */

type Row = Pick<BucketObserved, 'uid' | 'workspace' | 'name' | 'external'>;

const keyOf = ({ workspace, name }: Row) => ({ workspace, kind: 'Bucket', name });

function stalled(
  row: Row,
  reason: string,
  what: { message: string; remedy: readonly [Remedy, ...Remedy[]] },
): StalledPlan {
  return { verdict: 'stalled', reason, ...what, clearsOn: [topic.spec(row.uid)] };
}

function patch(row: Row, id: string, change: JsonObject): Remedy {
  return {
    id,
    call: { proc: 'resources.patch', input: { ...keyOf(row), patch: change } },
    destructive: false,
    needs: 'declarer',
  };
}

function undelete(row: Row): Remedy {
  return {
    id: 'undelete',
    call: { proc: 'resources.undelete', input: keyOf(row) },
    destructive: false,
    needs: 'declarer',
  };
}

/** The same declaration under another name, which leaves the bucket in the way alone. */
function rename(row: Row, spec: BucketSpec): Remedy {
  const { adopt: _adopt, recreate_requested_at: _recreate, ...rest } = spec;
  const manifest = {
    apiVersion: 'vibn.dev/v1',
    kind: 'Bucket',
    metadata: { workspace: row.workspace, name: `${row.name.slice(0, 30).replace(/-+$/, '')}-2` },
    spec: rest as unknown as JsonObject,
  };
  return {
    id: 'rename',
    call: { proc: 'resources.apply', input: { manifest } },
    destructive: false,
    needs: 'declarer',
  };
}

/** Somebody else has the name. */
export function foreign(row: Row, spec: BucketSpec): StalledPlan {
  return stalled(row, 'AlreadyExistsUnowned', {
    message: `A bucket named "${row.external}" exists and is not in our project. It is left alone. Declare the bucket under another name.`,
    remedy: [rename(row, spec)],
  });
}

/** A bucket that can be read but does not carry our mark. */
export function unmarked(row: Row & { seenBefore: boolean }, spec: BucketSpec, adoptable: boolean): StalledPlan {
  const way = adoptable
    ? `To take it over, set spec.adopt to "${row.external}".`
    : `It cannot be adopted: it is marked as another workspace's, or is not in ${bucketLocation}.`;
  const message = row.seenBefore
    ? `Bucket "${row.external}" has lost the label that marks it as ours. It is left alone. ${way}`
    : `Bucket "${row.external}" exists without our mark. It is left alone. ${way}`;
  const reason = row.seenBefore ? 'OwnershipMarkMissing' : 'AlreadyExistsUnowned';
  const adopt = patch(row, 'adopt', { adopt: row.external });
  return stalled(row, reason, { message, remedy: adoptable ? [adopt, rename(row, spec)] : [rename(row, spec)] });
}

/** A bucket of ours in the wrong place. It is neither changed nor deleted: moving data is a person's decision. */
export function elsewhere(row: Row, spec: BucketSpec, location: string): StalledPlan {
  return stalled(row, 'ResidencyViolation', {
    message: `Bucket "${row.external}" is in "${location}", not in ${bucketLocation}. A bucket cannot be moved; it is neither changed nor deleted. Copy its objects to a bucket declared under another name.`,
    remedy: [rename(row, spec)],
  });
}

/** Whether single objects can be retained is fixed when a bucket is made. */
export function objectRetentionFixed(row: Row, spec: BucketSpec, have: boolean): StalledPlan {
  const state = have ? 'on' : 'off';
  return stalled(row, 'ImmutableFieldChanged', {
    message: `Object retention of bucket "${row.external}" is ${state}, spec.objectRetention says ${spec.objectRetention}. The provider fixes it when a bucket is made. Declare the bucket under another name.`,
    remedy: [rename(row, spec)],
  });
}

/** A locked retention stands against the declaration. */
export function retentionLocked(row: Row, bucket: BucketView): StalledPlan {
  const days = lockedDays(bucket);
  return stalled(row, 'ImmutableFieldChanged', {
    message: `The retention of bucket "${row.external}" is locked at ${days} days: it can only be lengthened. Set spec.retention to at least { days: ${days}, locked: true }.`,
    remedy: [patch(row, 'keep-retention', { retention: { days, locked: true } })],
  });
}

/** A bucket that holds objects and may not be emptied. */
export function notEmpty(row: Row): StalledPlan {
  const destructive = { destructive: true, needs: 'human' };
  return stalled(row, 'NotEmpty', {
    message: `Bucket "${row.external}" holds objects and spec.emptyBeforeDelete is false. Undelete it, set emptyBeforeDelete to true and delete it again, or remove the objects.`,
    remedy: [
      undelete(row),
      { ...patch(row, 'empty-before-delete', { emptyBeforeDelete: true }), ...destructive },
      {
        id: 'delete-again',
        call: { proc: 'resources.delete', input: { ...keyOf(row), confirm: row.name } },
        ...destructive,
      },
    ],
  });
}

/** Objects that nobody may delete yet. */
export function retained(row: Row, until: string | null): StalledPlan {
  const message =
    until === null
      ? `Bucket "${row.external}" holds objects on hold. They cannot be deleted until their holds are released.`
      : `Bucket "${row.external}" holds objects that cannot be deleted before ${until}: they are under a retention. The deletion goes on by itself after that.`;
  return stalled(row, 'RetentionUntil', { message, remedy: [undelete(row)] });
}
