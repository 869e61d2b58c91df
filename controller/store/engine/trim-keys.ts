import { statement } from '#controller/store/statement.ts';

/**
 * Trims keys that were revoked or have expired more than $1 ms ago: $2 at most. The audit log goes on naming them, by id and lineage.
 * Row-level security lets the engine take away no key that still holds.
 */
export const trimKeys = statement<[ageMs: number, limit: number], { trimmed: number }>({
  name: 'trim_keys',
  repeatable: true,
  text: `
with old as materialized (
  select id from api_keys
  where least(revoked_at, expires_at) < statement_timestamp() - $1::bigint * interval '1 millisecond'
  order by id limit $2::int
),
gone as (delete from api_keys k using old o where k.id = o.id returning 1)
select count(*) as trimmed from gone`,
});
