import { statement } from '#controller/store/statement.ts';

/** Stores what plan hashes stand for: a JSON array of StoredPlan with its time in ISO-8601. The same hash again moves its end. */
export const writePlans = statement<[shard: number, plans: string], never>({
  name: 'write_plans',
  repeatable: true,
  text: `
insert into plans (shard, hash, kind, name, workspace, base_generation, desired_digest, actions, expires_at)
select $1::smallint, hash, ref ->> 'kind', ref ->> 'name', workspace, "baseGeneration", "desiredDigest", actions, "expiresAt"
from jsonb_to_recordset($2::text::jsonb) as p(
  hash text, workspace text, ref jsonb, "baseGeneration" bigint, "desiredDigest" text, actions jsonb, "expiresAt" timestamptz)
order by hash, workspace, ref ->> 'kind', ref ->> 'name'
on conflict (shard, hash, workspace, kind, name) do update set expires_at = excluded.expires_at`,
});
