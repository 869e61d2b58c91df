-- The wall around api_keys without a restrictive policy: Citus makes it a permissive one on the shards, and then a key could be made for
-- any workspace by who sets vibn.key to its id. One policy for each command says the same by itself.
drop policy workspace_or_key on api_keys;
drop policy workspace_insert on api_keys;
create policy workspace_or_key_read on api_keys for select to vibn_api
  using (workspace = current_setting('vibn.workspace', true) or id = current_setting('vibn.key', true));
create policy workspace_or_key_update on api_keys for update to vibn_api
  using (workspace = current_setting('vibn.workspace', true) or id = current_setting('vibn.key', true));
create policy workspace_insert on api_keys for insert to vibn_api
  with check (workspace = current_setting('vibn.workspace', true));
