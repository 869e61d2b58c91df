import { statement } from '#controller/store/statement.ts';

/** Revokes a key now; one revoked before keeps its time. No row back: there is no such key in the scope. */
export const revokeKey = statement<[id: string], { id: string }>({
  name: 'revoke_key',
  repeatable: true,
  text: `
update api_keys set revoked_at = coalesce(revoked_at, t.now) from (select statement_timestamp() as now) t
where id = $1::text returning id`,
});
