import { statement } from '#controller/store/statement.ts';

/**
 * Revokes a key now; one revoked before keeps its time, and row-level security lets nobody change it. No row back: there is no such key in
 * the scope.
 */
export const revokeKey = statement<[id: string], { id: string }>({
  name: 'revoke_key',
  repeatable: true,
  text: `
with revoked as (
  update api_keys set revoked_at = statement_timestamp() where id = $1::text and revoked_at is null
)
select id from api_keys where id = $1::text`,
});
