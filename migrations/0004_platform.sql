-- Platform-wide tables: on Citus, reference tables (replay_items excepted).

-- Names that exist once in the world (domains, buckets): which row holds them.
create table claims (
  kind          text        not null,
  external_name text        not null,
  workspace     text        not null,
  uid           text        not null,
  taken_at      timestamptz not null,
  primary key (kind, external_name)
);
create index claims_by_row on claims (uid);

-- What outlives its row: registrations, backups.
create table retained (
  kind         text        not null,
  external_ref text        not null,
  workspace    text        not null,
  uid          text        not null,
  until        timestamptz,
  reason       text        not null,
  retained_at  timestamptz not null,
  primary key (kind, external_ref)
);

create table providers (
  provider          text        not null,
  account           text        not null,
  breaker           text        not null default 'closed' check (breaker in ('closed', 'open')),
  cause             text        check (cause in ('unavailable', 'credential')),
  failures          integer     not null default 0 check (failures >= 0),
  opened_at         timestamptz,
  blocked_until     timestamptz,
  frozen_by         text,
  frozen_why        text,
  frozen_until      timestamptz,
  credential_digest text,
  primary key (provider, account),
  constraint open_since check ((breaker = 'open') = (opened_at is not null)),
  constraint frozen_by_someone check ((frozen_by is null) = (frozen_why is null)),
  constraint frozen_before_until check (frozen_until is null or frozen_by is not null)
);

create table provider_budgets (
  provider  text             not null,
  account   text             not null,
  budget    text             not null,
  tokens    double precision not null check (tokens >= 0),
  filled_at timestamptz      not null,
  primary key (provider, account, budget)
) with (fillfactor = 50);

create table provider_slots (
  provider    text        not null,
  account     text        not null,
  slot        integer     not null check (slot >= 0),
  holder      text,
  lease_until timestamptz,
  primary key (provider, account, slot),
  constraint slot_held_until check ((lease_until is null) = (holder is null))
);

-- Sliding windows of the brakes: the times of the events still in the window.
create table windows (
  scope  text          not null,
  key    text          not null,
  events timestamptz[] not null default '{}',
  primary key (scope, key)
);

create table replays (
  id              text        primary key,
  state           text        not null check (state in ('filling', 'running', 'suspended', 'done', 'cancelled')),
  selector        jsonb       not null check (jsonb_typeof(selector) = 'object'),
  rate_per_second integer     not null check (rate_per_second between 1 and 1000),
  created_by      text        not null,
  request_id      text,
  created_at      timestamptz not null,
  finished_at     timestamptz,
  -- The last shard filled; -1 before the first.
  filled_through  smallint    not null default -1 check (filled_through between -1 and 63),
  holder          text,
  lease_until     timestamptz,
  constraint replays_request_unique unique (created_by, request_id),
  constraint replay_held_until check ((lease_until is null) = (holder is null))
);

create table replay_items (
  shard        smallint    not null,
  replay       text        not null,
  uid          text        not null,
  rank         integer     not null check (rank >= 0),
  state        text        not null default 'waiting' check (state in ('waiting', 'asked', 'done')),
  asked_at     timestamptz,
  ready_before boolean     not null,
  ready_after  boolean,
  -- Why it was not Ready when it was done.
  reason       text,
  primary key (shard, replay, uid),
  constraint asked_before_done check ((state = 'waiting') = (asked_at is null)),
  constraint done_has_an_answer check ((state = 'done') = (ready_after is not null))
);
-- Serves "the next to ask" in the order (rank, shard, uid), and the counts.
create index replay_items_next on replay_items (replay, state, rank, shard, uid);

create table engines (
  build_id      text        primary key,
  first_seen_at timestamptz not null
);
