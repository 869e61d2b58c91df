-- A revoked key stays revoked: its row is not theirs to change any more. No policy sees a row before and after, so the whole row is closed.
create policy revoked_stays on api_keys as restrictive for update to vibn_api, vibn_platform
  using (revoked_at is null) with check (true);
