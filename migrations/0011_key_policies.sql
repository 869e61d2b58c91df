-- The wall around api_keys without restrictive policies: Citus makes them permissive on the shards. There a key could be made for any
-- workspace by who sets vibn.key to its id, and any key that is not revoked could be changed. One policy for each command says it all.
drop policy if exists workspace_or_key on api_keys;
drop policy if exists workspace_insert on api_keys;
drop policy if exists revoked_stays on api_keys;
drop policy if exists platform on api_keys;

create policy api_read on api_keys for select to vibn_api
  using (workspace = current_setting('vibn.workspace', true) or id = current_setting('vibn.key', true));
create policy api_insert on api_keys for insert to vibn_api
  with check (workspace = current_setting('vibn.workspace', true));
-- A revoked key stays revoked: its row is not theirs to change any more.
create policy api_update on api_keys for update to vibn_api
  using (revoked_at is null and (workspace = current_setting('vibn.workspace', true) or id = current_setting('vibn.key', true)))
  with check (workspace = current_setting('vibn.workspace', true) or id = current_setting('vibn.key', true));

create policy platform_read on api_keys for select to vibn_platform using (true);
create policy platform_insert on api_keys for insert to vibn_platform with check (true);
create policy platform_update on api_keys for update to vibn_platform using (revoked_at is null) with check (true);
