import type { ApiKeyRow } from '#controller/store/rows.ts';
import { hashSecret, mintKey } from './key-text.ts';

/** What is decided about a key when it is made. By default it is the first of its lineage, lives for ever, and has the default rate. */
export type NewKey = Pick<ApiKeyRow, 'name' | 'workspace' | 'class' | 'scopes' | 'createdAt'> &
  Partial<Pick<ApiKeyRow, 'lineage' | 'expiresAt' | 'ratePerSecond'>>;

/** A key: its row as it is to be stored, and its text, which is stored nowhere. `env` is named in it. */
export function newKey(
  { env, hmacSecret }: { readonly env: string; readonly hmacSecret: string },
  made: NewKey,
): { readonly row: ApiKeyRow; readonly text: string } {
  const { id, secret, text } = mintKey(env);
  const row: ApiKeyRow = {
    id,
    secretHash: hashSecret(hmacSecret, secret),
    name: made.name,
    workspace: made.workspace,
    class: made.class,
    scopes: made.scopes,
    lineage: made.lineage ?? id,
    createdAt: made.createdAt,
    expiresAt: made.expiresAt ?? null,
    revokedAt: null,
    lastUsedAt: null,
    ratePerSecond: made.ratePerSecond ?? null,
  };
  return { row, text };
}
