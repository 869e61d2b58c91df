import type { Principal } from '#resources/resource.ts';

/** Who shares limits and lanes: all keys of a workspace. A platform key belongs to no tenant: it counts for itself. */
export function tenantOf({ keyId, workspace }: Pick<Principal, 'keyId' | 'workspace'>): string {
  return workspace ?? `key ${keyId}`;
}
