-- A revoked key stays revoked: no login of the API can change its row any more. No policy sees a row before and after a change, so the
-- whole row is closed; and none may be restrictive (0010).
drop policy workspace_or_key_update on api_keys;
create policy workspace_or_key_update on api_keys for update to vibn_api
  using (revoked_at is null and (workspace = current_setting('vibn.workspace', true) or id = current_setting('vibn.key', true)))
  with check (workspace = current_setting('vibn.workspace', true) or id = current_setting('vibn.key', true));
drop policy platform on api_keys;
create policy platform_read on api_keys for select to vibn_platform using (true);
create policy platform_insert on api_keys for insert to vibn_platform with check (true);
create policy platform_update on api_keys for update to vibn_platform using (revoked_at is null) with check (true);
