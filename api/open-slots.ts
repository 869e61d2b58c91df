import { ApiError } from '#resources/errors.ts';
import type { Principal } from '#resources/resource.ts';
import { tenantOf } from './tenant.ts';

/**
 * Counts calls that stay open (watches, waits), of each key, each tenant and the process: each holds a connection and looks at the
 * database again and again. A tenant may make any number of keys, so that a limit of keys alone would be none.
 */
export interface OpenSlots {
  /** Takes a slot; throws RATE_LIMITED if all are taken. Call what it answers exactly once. */
  take(principal: Pick<Principal, 'keyId' | 'workspace'>): () => void;
}

export interface SlotLimits {
  /** In the plural, for the refusal: "watches". */
  readonly what: string;
  readonly perKey: number;
  readonly perTenant: number;
  readonly all: number;
}

export function createOpenSlots({ what, perKey, perTenant, all }: SlotLimits): OpenSlots {
  const keys = new Map<string, number>();
  const tenants = new Map<string, number>();
  let open = 0;
  return {
    take({ keyId, workspace }) {
      const tenant = tenantOf({ keyId, workspace });
      if ((keys.get(keyId) ?? 0) >= perKey) throw tooMany(`${what} of this key`, perKey);
      if ((tenants.get(tenant) ?? 0) >= perTenant) throw tooMany(`${what} of this workspace`, perTenant);
      if (open >= all) throw tooMany(`${what} of this server`, all);
      add(keys, keyId, 1);
      add(tenants, tenant, 1);
      open += 1;
      return () => {
        add(keys, keyId, -1);
        add(tenants, tenant, -1);
        open -= 1;
      };
    },
  };
}

/** Those at zero are forgotten. */
function add(counts: Map<string, number>, name: string, by: 1 | -1): void {
  const left = (counts.get(name) ?? 0) + by;
  if (left === 0) counts.delete(name);
  else counts.set(name, left);
}

function tooMany(whose: string, max: number): ApiError {
  return new ApiError('RATE_LIMITED', `The ${max} open ${whose} are taken. Let one end, then call again.`, {
    allowed: { max },
    retryAfterMs: 1_000,
  });
}
