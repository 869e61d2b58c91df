-- Declared rows and the queue. Primary keys of tenant tables start with shard: a stable hash of the workspace, 0 to 63.

create table shards (
  shard            smallint    primary key check (shard between 0 and 63),
  -- Commit-ordered: a writer bumps it in its first statement and so holds the row lock until its commit.
  version          bigint      not null default 0 check (version >= 0),
  -- Tombstones up to this version may be gone: older watch cursors have expired.
  trimmed_through  bigint      not null default 0 check (trimmed_through >= 0),
  -- The version at topics_marked_at. Topics fired no later than that, without listeners, are older than the trimming age:
  -- so a firing needs to write no time of its own.
  topics_mark      bigint      not null default 0,
  topics_marked_at timestamptz not null default statement_timestamp(),
  check (trimmed_through <= version)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

insert into shards (shard) select generate_series(0, 63);

create table resources (
  shard               smallint    not null check (shard between 0 and 63),
  uid                 text        not null check (uid <> ''),
  workspace           text        not null check (workspace ~ '^[a-z][a-z0-9]{2,21}$'),
  kind                text        not null check (kind <> ''),
  name                text        not null check (name <> '' and length(name) <= 253),
  generation          bigint      not null check (generation >= 1),
  version             bigint      not null check (version >= 1),
  labels              jsonb       not null default '{}' check (jsonb_typeof(labels) = 'object'),
  annotations         jsonb       not null default '{}' check (jsonb_typeof(annotations) = 'object'),
  owner_uid           text,
  slot                text,
  spec                jsonb       not null check (jsonb_typeof(spec) = 'object'),
  status              jsonb       not null default '{}' check (jsonb_typeof(status) = 'object'),
  conditions          jsonb       not null default '[]' check (jsonb_typeof(conditions) = 'array'),
  observed_generation bigint      not null default 0,
  outputs_digest      text,
  deleted_at          timestamptz,
  deletion_policy     text        check (deletion_policy in ('Delete', 'Orphan')),
  undo_until          timestamptz,
  finalizing_at       timestamptz,
  created_by          jsonb       not null check (jsonb_typeof(created_by) = 'object'),
  created_at          timestamptz not null,
  updated_at          timestamptz not null,
  primary key (shard, uid),
  constraint resources_name_unique unique (shard, workspace, kind, name),
  -- Rows being deleted included, so that declaring a slot twice is once.
  constraint resources_slot_unique unique (shard, owner_uid, slot),
  constraint owned_rows_have_a_slot check ((owner_uid is null) = (slot is null)),
  constraint observed_is_declared check (observed_generation between 0 and generation),
  constraint finalizing_is_deleted check (finalizing_at is null or deleted_at is not null),
  constraint deletion_has_its_terms check (
    (deleted_at is null) = (deletion_policy is null) and (deleted_at is null) = (undo_until is null))
) with (fillfactor = 80);

-- Serves watches: changes of a workspace since a version.
create index resources_by_version on resources (shard, workspace, version);

-- The queue: narrow and hot. Most updates move due_at, so few are heap-only: spare room and an eager vacuum keep pages few.
create table work (
  shard           smallint    not null,
  uid             text        not null,
  workspace       text        not null,
  kind            text        not null,
  due_at          timestamptz not null,
  priority        text        not null check (priority in ('user', 'dependency', 'replay', 'resync')),
  lease_until     timestamptz,
  holder          text,
  epoch           bigint      not null default 0 check (epoch >= 0),
  attempts        integer     not null default 0 check (attempts >= 0),
  wake_seq        bigint      not null default 0 check (wake_seq >= 0),
  taken_over_at   timestamptz,
  -- When the last claim was made, to the microsecond: its settle copies it to passed_at, which a replay compares with asked_at.
  claimed_at      timestamptz,
  passed_at       timestamptz,
  verified_at     timestamptz,
  materialized_at timestamptz,
  incarnation     integer     not null default 0 check (incarnation >= 0),
  recent_actions  jsonb       not null default '[]'
                  check (jsonb_typeof(recent_actions) = 'array' and jsonb_array_length(recent_actions) <= 16),
  primary key (shard, uid),
  foreign key (shard, uid) references resources on delete cascade,
  constraint held_until check ((lease_until is null) = (holder is null))
) with (
  fillfactor = 40,
  autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0,
  autovacuum_analyze_scale_factor = 0.1
);

-- The claim walks workspaces loosely over this one (architecture §5: 1.8 ms, where a lateral join with order took 998).
create index work_by_workspace on work (shard, workspace, due_at);
-- Serves "which shards have something due" and "when is the next one": one probe a shard.
create index work_by_due on work (shard, due_at);

create table tombstones (
  shard      smallint    not null,
  version    bigint      not null,
  uid        text        not null,
  workspace  text        not null,
  kind       text        not null,
  name       text        not null,
  labels     jsonb       not null check (jsonb_typeof(labels) = 'object'),
  deleted_at timestamptz not null,
  primary key (shard, version)
);
create index tombstones_by_version on tombstones (shard, workspace, version);

-- Remembered requests: digests and uids only, never bodies or secrets. They do not expire. Workspace "-" is the platform's.
create table requests (
  shard       smallint    not null,
  workspace   text        not null,
  lineage     text        not null,
  request_id  text        not null check (length(request_id) between 1 and 64),
  body_digest text        not null,
  results     jsonb       not null,
  at          timestamptz not null,
  primary key (shard, workspace, lineage, request_id)
);
