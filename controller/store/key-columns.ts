import type { ApiKeyRow } from './rows.ts';

/** How a row of `api_keys` crosses from SQL. */
export const keyColumns = `
  id, secret_hash, name, workspace, class, scopes, lineage, created_at, expires_at, revoked_at, last_used_at, rate_per_second`;

type Snake = 'secretHash' | 'createdAt' | 'expiresAt' | 'revokedAt' | 'lastUsedAt' | 'ratePerSecond';

export type KeyColumns = Omit<ApiKeyRow, Snake> & {
  readonly secret_hash: string;
  readonly created_at: number;
  readonly expires_at: number | null;
  readonly revoked_at: number | null;
  readonly last_used_at: number | null;
  readonly rate_per_second: number | null;
};

/** A key in the spelling of TypeScript. */
export function toKey(row: KeyColumns): ApiKeyRow {
  return {
    id: row.id,
    secretHash: row.secret_hash,
    name: row.name,
    workspace: row.workspace,
    class: row.class,
    scopes: row.scopes,
    lineage: row.lineage,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    lastUsedAt: row.last_used_at,
    ratePerSecond: row.rate_per_second,
  };
}
