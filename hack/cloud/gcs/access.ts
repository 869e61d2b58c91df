// Who may do what to which bucket and object: project roles, the bucket's policy, public access prevention.

import type { Identity } from '#hack/cloud/iam/model.ts';
import { grantedRoles } from '#hack/cloud/iam/policy.ts';
import { rolesAllow } from '#hack/cloud/iam/roles.ts';
import { isObject } from '#hack/cloud/json.ts';
import type { BucketRecord, GcsContext } from './context.ts';
import { forbidden, unauthenticated, type GcsError } from './errors.ts';

/** Whether the identity holds the permission on the bucket, or on one of its objects. */
export function may(
  context: GcsContext,
  identity: Identity,
  wanted: { permission: string; bucket: BucketRecord; object?: string | undefined },
): boolean {
  const { bucket, permission } = wanted;
  if (rolesAllow(context.iam.projectRoles(identity, bucket.project), permission)) return true;
  const resourceName = `projects/_/buckets/${bucket.name}${wanted.object === undefined ? '' : `/objects/${wanted.object}`}`;
  const resourceType = `storage.googleapis.com/${wanted.object === undefined ? 'Bucket' : 'Object'}`;
  const members = membersOf(context, identity, bucket);
  return rolesAllow(
    grantedRoles(bucket.policy, members, { resourceName, resourceType, nowMs: context.clock.now() }),
    permission,
  );
}

/** Throws 403 (or 401 for an anonymous caller) unless the identity holds the permission. */
export function demand(
  context: GcsContext,
  identity: Identity,
  wanted: { permission: string; bucket: BucketRecord; object?: string | undefined },
): void {
  if (may(context, identity, wanted)) return;
  throw denied(identity, wanted.permission, wanted.object === undefined ? 'bucket' : 'object');
}

/** Throws unless the identity holds the permission on the project as a whole. */
export function demandOnProject(
  context: GcsContext,
  identity: Identity,
  wanted: { permission: string; project: string },
): void {
  // Only the local owner makes a project known by naming it; a stranger must not claim one that way.
  if (identity.kind === 'owner') context.iam.touchProject(wanted.project, identity);
  if (rolesAllow(context.iam.projectRoles(identity, wanted.project), wanted.permission)) return;
  throw denied(identity, wanted.permission, 'project');
}

function denied(identity: Identity, permission: string, what: 'bucket' | 'object' | 'project'): GcsError {
  const who =
    identity.kind === 'account' ? identity.email : identity.kind === 'owner' ? 'The project owner' : 'Anonymous caller';
  const thing = what === 'project' ? 'Google Cloud project' : `Google Cloud Storage ${what}`;
  const message = `${who} does not have ${permission} access to the ${thing}. Permission '${permission}' denied on resource (or it may not exist).`;
  return identity.kind === 'anonymous' ? unauthenticated(message) : forbidden(message);
}

/** Every name under which policies may mean this identity. Public access prevention takes the public names away. */
function membersOf(context: GcsContext, identity: Identity, bucket: BucketRecord): Set<string> {
  const members = new Set<string>();
  const iamConfiguration = bucket.fields['iamConfiguration'];
  const open = !(isObject(iamConfiguration) && iamConfiguration['publicAccessPrevention'] === 'enforced');
  if (open) members.add('allUsers');
  if (identity.kind === 'account') {
    if (open) members.add('allAuthenticatedUsers');
    members.add(context.iam.memberOf(identity.email));
  }
  const roles = context.iam.projectRoles(identity, bucket.project);
  if (roles.includes('roles/owner')) members.add(`projectOwner:${bucket.project}`);
  if (roles.includes('roles/editor')) members.add(`projectEditor:${bucket.project}`);
  if (roles.includes('roles/viewer')) members.add(`projectViewer:${bucket.project}`);
  return members;
}
