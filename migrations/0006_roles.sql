-- Who may do what (security.md): column grants and row-level security. The roles themselves are made by controller/store/migrate.ts,
-- since they belong to the server, not to the database. test/database/roles.test.ts compares the database with the list.

revoke create on schema public from public;

-- The API: writes declarations and wishes, never status, leases, intents or money.
-- vibn_platform, for platform keys, has the same and a little more.

grant select on
  shards, topics, listeners, resources, work, tombstones, requests, revisions, passes, intents, decisions, plans, operations,
  audit_log, quotas, approvals, ledger_entries, fx_rates, providers, api_keys
  to vibn_api, vibn_platform;

grant update (version) on shards to vibn_api, vibn_platform;
grant insert, update (fired_version, draining) on topics to vibn_api, vibn_platform;
grant
  insert (shard, uid, workspace, kind, name, generation, version, labels, annotations, spec, created_by, created_at, updated_at),
  update (spec, labels, annotations, generation, version, deleted_at, deletion_policy, undo_until, updated_at)
  on resources to vibn_api, vibn_platform;
grant
  insert (shard, uid, workspace, kind, priority, due_at),
  update (priority, due_at, wake_seq)
  on work to vibn_api, vibn_platform;
grant insert on revisions, requests, audit_log, decisions, approvals, secrets, api_keys to vibn_api, vibn_platform;
grant update (revoked_at, expires_at, last_used_at) on api_keys to vibn_api, vibn_platform;
grant update (cancel_requested_at) on operations to vibn_api, vibn_platform;

grant select on claims, retained, replays, replay_items, engines to vibn_platform;
grant update (frozen_by, frozen_why, frozen_until) on providers to vibn_platform;
grant insert, update (state, rate_per_second) on replays to vibn_platform;
grant insert, update on quotas, fx_rates to vibn_platform;

-- The engine. Money and audit are append only for it too; keys, limits, rates and approvals are not its to write.
grant select, insert, update, delete on
  shards, topics, listeners, resources, work, tombstones, requests, revisions, passes, intents, decisions, plans, operations,
  claims, retained, providers, provider_budgets, provider_slots, windows, replays, replay_items, engines, secrets
  to vibn_controller;
grant select, insert on ledger_entries, audit_log to vibn_controller;
grant select on quotas, approvals, fx_rates to vibn_controller;

-- The second wall between tenants. An empty or missing setting matches nothing. shards, topics and listeners hold no tenant's
-- words and have no policy; neither have the platform's tables, which vibn_api cannot read.

alter table resources enable row level security;
alter table resources force row level security;
create policy engine on resources to vibn_controller, vibn_migrator using (true) with check (true);
create policy platform on resources to vibn_platform using (true) with check (true);
create policy workspace on resources to vibn_api
  using (workspace = current_setting('vibn.workspace', true))
  with check (workspace = current_setting('vibn.workspace', true));

alter table work enable row level security;
alter table work force row level security;
create policy engine on work to vibn_controller, vibn_migrator using (true) with check (true);
create policy platform on work to vibn_platform using (true) with check (true);
create policy workspace on work to vibn_api
  using (workspace = current_setting('vibn.workspace', true))
  with check (workspace = current_setting('vibn.workspace', true));

alter table tombstones enable row level security;
alter table tombstones force row level security;
create policy engine on tombstones to vibn_controller, vibn_migrator using (true) with check (true);
create policy platform on tombstones to vibn_platform using (true) with check (true);
create policy workspace on tombstones to vibn_api
  using (workspace = current_setting('vibn.workspace', true))
  with check (workspace = current_setting('vibn.workspace', true));

alter table requests enable row level security;
alter table requests force row level security;
create policy engine on requests to vibn_controller, vibn_migrator using (true) with check (true);
create policy platform on requests to vibn_platform using (true) with check (true);
create policy workspace on requests to vibn_api
  using (workspace = current_setting('vibn.workspace', true))
  with check (workspace = current_setting('vibn.workspace', true));

alter table revisions enable row level security;
alter table revisions force row level security;
create policy engine on revisions to vibn_controller, vibn_migrator using (true) with check (true);
create policy platform on revisions to vibn_platform using (true) with check (true);
create policy workspace on revisions to vibn_api
  using (workspace = current_setting('vibn.workspace', true))
  with check (workspace = current_setting('vibn.workspace', true));

alter table passes enable row level security;
alter table passes force row level security;
create policy engine on passes to vibn_controller, vibn_migrator using (true) with check (true);
create policy platform on passes to vibn_platform using (true) with check (true);
create policy workspace on passes to vibn_api
  using (workspace = current_setting('vibn.workspace', true))
  with check (workspace = current_setting('vibn.workspace', true));

alter table intents enable row level security;
alter table intents force row level security;
create policy engine on intents to vibn_controller, vibn_migrator using (true) with check (true);
create policy platform on intents to vibn_platform using (true) with check (true);
create policy workspace on intents to vibn_api
  using (workspace = current_setting('vibn.workspace', true))
  with check (workspace = current_setting('vibn.workspace', true));

alter table decisions enable row level security;
alter table decisions force row level security;
create policy engine on decisions to vibn_controller, vibn_migrator using (true) with check (true);
create policy platform on decisions to vibn_platform using (true) with check (true);
create policy workspace on decisions to vibn_api
  using (workspace = current_setting('vibn.workspace', true))
  with check (workspace = current_setting('vibn.workspace', true));

alter table plans enable row level security;
alter table plans force row level security;
create policy engine on plans to vibn_controller, vibn_migrator using (true) with check (true);
create policy platform on plans to vibn_platform using (true) with check (true);
create policy workspace on plans to vibn_api
  using (workspace = current_setting('vibn.workspace', true))
  with check (workspace = current_setting('vibn.workspace', true));

alter table operations enable row level security;
alter table operations force row level security;
create policy engine on operations to vibn_controller, vibn_migrator using (true) with check (true);
create policy platform on operations to vibn_platform using (true) with check (true);
create policy workspace on operations to vibn_api
  using (workspace = current_setting('vibn.workspace', true))
  with check (workspace = current_setting('vibn.workspace', true));

alter table audit_log enable row level security;
alter table audit_log force row level security;
create policy engine on audit_log to vibn_controller, vibn_migrator using (true) with check (true);
create policy platform on audit_log to vibn_platform using (true) with check (true);
create policy workspace on audit_log to vibn_api
  using (workspace = current_setting('vibn.workspace', true))
  with check (workspace = current_setting('vibn.workspace', true));

alter table secrets enable row level security;
alter table secrets force row level security;
create policy engine on secrets to vibn_controller, vibn_migrator using (true) with check (true);
create policy platform on secrets to vibn_platform using (true) with check (true);
create policy workspace on secrets to vibn_api
  using (workspace = current_setting('vibn.workspace', true))
  with check (workspace = current_setting('vibn.workspace', true));

alter table quotas enable row level security;
alter table quotas force row level security;
create policy engine on quotas to vibn_controller, vibn_migrator using (true) with check (true);
create policy platform on quotas to vibn_platform using (true) with check (true);
create policy workspace on quotas to vibn_api
  using (workspace = current_setting('vibn.workspace', true))
  with check (workspace = current_setting('vibn.workspace', true));

alter table approvals enable row level security;
alter table approvals force row level security;
create policy engine on approvals to vibn_controller, vibn_migrator using (true) with check (true);
create policy platform on approvals to vibn_platform using (true) with check (true);
create policy workspace on approvals to vibn_api
  using (workspace = current_setting('vibn.workspace', true))
  with check (workspace = current_setting('vibn.workspace', true));

alter table ledger_entries enable row level security;
alter table ledger_entries force row level security;
create policy engine on ledger_entries to vibn_controller, vibn_migrator using (true) with check (true);
create policy platform on ledger_entries to vibn_platform using (true) with check (true);
create policy workspace on ledger_entries to vibn_api
  using (workspace = current_setting('vibn.workspace', true))
  with check (workspace = current_setting('vibn.workspace', true));

-- A key is looked up, and its last use written, before its workspace is known: then the key's id is the context.
alter table api_keys enable row level security;
alter table api_keys force row level security;
create policy engine on api_keys to vibn_controller, vibn_migrator using (true) with check (true);
create policy platform on api_keys to vibn_platform using (true) with check (true);
create policy workspace_or_key on api_keys to vibn_api
  using (workspace = current_setting('vibn.workspace', true) or id = current_setting('vibn.key', true));
create policy workspace_insert on api_keys as restrictive for insert to vibn_api
  with check (workspace = current_setting('vibn.workspace', true));
