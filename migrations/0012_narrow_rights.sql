-- What the API's logins may do, narrowed to what its statements do: a statement of the API that is wrong can do no more than that.
-- None of these tables has a column with a default, so on a cluster the shards need no further rights (hack/citus/shards.ts).

-- Not written by any statement yet: what comes to need it grants it.
revoke insert on approvals from vibn_api, vibn_platform;
revoke insert on secrets from vibn_api, vibn_platform;
-- Nothing of the API's reads these for a tenant.
revoke select on approvals from vibn_api;
revoke select on quotas from vibn_api;
revoke select on ledger_entries from vibn_api;
revoke select on fx_rates from vibn_api;
revoke select on providers from vibn_api;

-- A decision is not applied by who makes it.
revoke insert on decisions from vibn_api, vibn_platform;
grant insert (shard, uid, effect, at, workspace, outcome, evidence, by) on decisions to vibn_api, vibn_platform;
-- How a firing is spread over time is the engine's.
revoke insert on topics from vibn_api, vibn_platform;
grant insert (shard, topic, fired_version, draining) on topics to vibn_api, vibn_platform;
-- A key is not born revoked or used, and its end is not moved.
revoke insert on api_keys from vibn_api, vibn_platform;
grant insert (id, secret_hash, name, workspace, class, scopes, lineage, created_at, expires_at, rate_per_second) on api_keys
  to vibn_api, vibn_platform;
revoke update (expires_at) on api_keys from vibn_api, vibn_platform;

-- Keys that are dead for long are trimmed by the engine (options.sweep.deadKeyMs), which can take away no other and change none.
drop policy engine on api_keys;
create policy migrator on api_keys to vibn_migrator using (true) with check (true);
create policy engine_read on api_keys for select to vibn_controller using (true);
create policy engine_trim on api_keys for delete to vibn_controller
  using (revoked_at is not null or expires_at < statement_timestamp());
grant select (id, revoked_at, expires_at), delete on api_keys to vibn_controller;
