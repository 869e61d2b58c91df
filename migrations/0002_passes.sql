-- What was declared, what was done about it, and what must not be done twice.

-- Each spec ever declared. A delete and an undelete are generations too.
create table revisions (
  shard      smallint    not null,
  uid        text        not null,
  generation bigint      not null check (generation >= 1),
  workspace  text        not null,
  spec       jsonb       not null check (jsonb_typeof(spec) = 'object'),
  by         jsonb       not null check (jsonb_typeof(by) = 'object'),
  request_id text,
  approved   text[]      not null default '{}',
  confirmed  boolean     not null default false,
  at         timestamptz not null,
  primary key (shard, uid, generation)
);

-- Passes that did, changed or refused something. observed and plan are null when over 64 KiB; their digests stay.
create table passes (
  shard           smallint    not null,
  uid             text        not null,
  epoch           bigint      not null,
  workspace       text        not null,
  generation      bigint      not null,
  trigger         text        not null,
  observed        jsonb,
  observed_digest text        not null,
  plan            jsonb,
  plan_digest     text        not null,
  calls           jsonb       not null check (jsonb_typeof(calls) = 'array' and jsonb_array_length(calls) <= 64),
  outcome         text        not null,
  duration_ms     bigint      not null check (duration_ms >= 0),
  trace_id        text,
  at              timestamptz not null,
  primary key (shard, uid, epoch)
);
-- Serves trimming by age; the newest pass of each row stays.
create index passes_by_age on passes (shard, at);

-- Write-ahead record of what must not happen twice (architecture §5, Intents).
create table intents (
  shard        smallint    not null,
  uid          text        not null,
  effect       text        not null,
  attempt      integer     not null check (attempt >= 1),
  workspace    text        not null,
  nonce        text        not null,
  state        text        not null check (state in ('announced', 'sending', 'unknown', 'done', 'refused', 'retired')),
  args         jsonb       not null,
  result       jsonb       not null default 'null',
  announced_at timestamptz not null,
  sent_at      timestamptz,
  give_up_at   timestamptz,
  answered_at  timestamptz,
  -- Was retired at some time; a `done` after that contradicts it, and a duplicate is never silent.
  was_retired  boolean     not null default false,
  contradicts  boolean     not null default false,
  primary key (shard, uid, effect, attempt),
  constraint intents_nonce_unique unique (shard, nonce),
  constraint sent_has_its_end check ((sent_at is null) = (give_up_at is null)),
  constraint announced_is_unsent check (state <> 'announced' or sent_at is null),
  constraint open_is_sent check (state not in ('sending', 'unknown') or sent_at is not null),
  constraint retired_is_remembered check (state <> 'retired' or was_retired),
  constraint only_retired_is_contradicted check (not contradicts or was_retired)
);
-- At most one send of a row whose outcome is open.
create unique index intents_one_open on intents (shard, uid) where state in ('sending', 'unknown');

-- What a person said about an unknown outcome.
create table decisions (
  shard      smallint    not null,
  uid        text        not null,
  effect     text        not null,
  at         timestamptz not null,
  workspace  text        not null,
  outcome    text        not null check (outcome in ('happened', 'did_not')),
  evidence   text        not null,
  by         jsonb       not null check (jsonb_typeof(by) = 'object'),
  applied_at timestamptz,
  primary key (shard, uid, effect, at)
);

-- What a quoted plan hash stands for, for an hour. One hash may stand for several changes: ref is part of the key.
create table plans (
  shard           smallint    not null,
  hash            text        not null,
  kind            text        not null,
  name            text        not null,
  workspace       text        not null,
  base_generation bigint      not null check (base_generation >= 0),
  desired_digest  text        not null,
  actions         jsonb       not null check (jsonb_typeof(actions) = 'array'),
  expires_at      timestamptz not null,
  primary key (shard, hash, workspace, kind, name)
);
create index plans_by_expiry on plans (shard, expires_at);

-- Long work: a pass starts and observes it, a mover claims it.
create table operations (
  shard               smallint    not null,
  uid                 text        not null,
  key                 text        not null,
  workspace           text        not null,
  op                  text        not null,
  input               jsonb       not null check (jsonb_typeof(input) = 'object'),
  state               text        not null check (state in ('waiting', 'running', 'done', 'failed', 'cancelled')),
  progress            jsonb       not null default 'null',
  cursor              jsonb       not null default 'null',
  result              jsonb       not null default 'null',
  holder              text,
  lease_until         timestamptz,
  epoch               bigint      not null default 0 check (epoch >= 0),
  cancel_requested_at timestamptz,
  created_at          timestamptz not null,
  updated_at          timestamptz not null,
  primary key (shard, uid, key),
  constraint operation_held_until check ((lease_until is null) = (holder is null))
);
create index operations_open on operations (shard, workspace, op) where state in ('waiting', 'running');
