import { statement } from '#controller/store/statement.ts';

/** Stores a new key. Its secret is only there as an HMAC. */
export const insertKey = statement<
  [
    id: string,
    secretHash: string,
    name: string,
    workspace: string | null,
    keyClass: string,
    scopes: readonly string[],
    lineage: string,
    createdAt: number,
    expiresAt: number | null,
    ratePerSecond: number | null,
  ],
  never
>({
  name: 'insert_key',
  text: `
insert into api_keys (id, secret_hash, name, workspace, class, scopes, lineage, created_at, expires_at, rate_per_second)
values ($1::text, $2::text, $3::text, $4::text, $5::text, $6::text[], $7::text, $8::timestamptz, $9::timestamptz, $10::int)`,
});
