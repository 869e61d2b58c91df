import type { ProviderRow } from '#controller/store/rows.ts';

/** Columns of `providers p`. */
export const providerColumns = `p.provider, p.account, p.breaker, p.cause, p.failures, p.opened_at, p.blocked_until, p.frozen_by,
  p.frozen_why, p.frozen_until, p.credential_digest`;

export interface ProviderColumns {
  readonly provider: string;
  readonly account: string;
  readonly breaker: 'closed' | 'open';
  readonly cause: 'unavailable' | 'credential' | null;
  readonly failures: number;
  readonly opened_at: number | null;
  readonly blocked_until: number | null;
  readonly frozen_by: string | null;
  readonly frozen_why: string | null;
  readonly frozen_until: number | null;
  readonly credential_digest: string | null;
}

/** A row of `providers` in the spelling of TypeScript. */
export function toProviderRow(row: ProviderColumns): ProviderRow {
  const { provider, account, breaker, cause, failures, frozen_by: by, frozen_why: why } = row;
  return {
    provider,
    account,
    breaker,
    cause,
    failures,
    openedAt: row.opened_at,
    blockedUntil: row.blocked_until,
    frozen: by === null || why === null ? null : { by, why, until: row.frozen_until },
    credentialDigest: row.credential_digest,
  };
}
