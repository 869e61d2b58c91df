import { statement } from '#controller/store/statement.ts';

/** Keys of a workspace that hold: neither revoked nor expired. Null: the platform-wide ones. Under the shard's lock no other is made. */
export const countKeys = statement<[workspace: string | null], { holding: number }>({
  name: 'count_keys',
  repeatable: true,
  text: `
select count(*) as holding from api_keys
where (workspace = $1::text or $1::text is null and workspace is null)
  and revoked_at is null and (expires_at is null or expires_at > statement_timestamp())`,
});
