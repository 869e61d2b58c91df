-- Keys, audit, secrets, limits, money (security.md).

-- Looked up by id before the workspace is known, so the shard is not in the key: a reference table on Citus.
create table api_keys (
  id              text        primary key,
  -- HMAC-SHA-256 of the secret, hex; the secret itself is shown once and never stored.
  secret_hash     text        not null,
  name            text        not null,
  workspace       text,
  class           text        not null check (class in ('agent', 'human', 'ci', 'sre')),
  scopes          text[]      not null,
  lineage         text        not null,
  created_at      timestamptz not null,
  expires_at      timestamptz,
  revoked_at      timestamptz,
  last_used_at    timestamptz,
  rate_per_second integer     check (rate_per_second >= 1)
);
create index api_keys_by_workspace on api_keys (workspace);

-- One entry per mutation and per denied attempt, hash-chained per workspace ("-": the platform's), append only.
create table audit_log (
  shard       smallint    not null,
  workspace   text        not null,
  seq         bigint      not null check (seq >= 1),
  at          timestamptz not null,
  actor       text        not null,
  lineage     text        not null,
  procedure   text        not null,
  outcome     text        not null,
  target      text        not null,
  body_digest text        not null,
  trace_id    text        not null,
  prev_hash   text        not null,
  hash        text        not null,
  primary key (shard, workspace, seq)
);

-- Ciphertext only (AES-256-GCM, made by the reader); associated data = workspace + uid + field.
create table secrets (
  shard      smallint    not null,
  workspace  text        not null,
  uid        text        not null,
  field      text        not null,
  revision   integer     not null default 1 check (revision >= 1),
  ciphertext text        not null,
  key_id     text        not null,
  created_at timestamptz not null,
  primary key (shard, workspace, uid, field, revision)
);

create table quotas (
  shard      smallint    not null,
  workspace  text        not null,
  kind       text        not null,
  rows_max   bigint      not null check (rows_max >= 0),
  updated_at timestamptz not null,
  primary key (shard, workspace, kind)
);

create table approvals (
  shard      smallint    not null,
  uid        text        not null,
  generation bigint      not null check (generation >= 1),
  digest     text        not null,
  workspace  text        not null,
  by         jsonb       not null check (jsonb_typeof(by) = 'object'),
  at         timestamptz not null,
  primary key (shard, uid, generation, digest)
);

-- Double entry in cents, append only. All legs of one intent sum to zero per currency.
create table ledger_entries (
  shard        smallint    not null,
  workspace    text        not null,
  intent       text        not null,
  leg          text        not null,
  account      text        not null,
  amount_cents bigint      not null,
  currency     text        not null check (currency ~ '^[A-Z]{3}$'),
  at           timestamptz not null,
  primary key (shard, intent, leg)
);
create index ledger_entries_by_account on ledger_entries (shard, workspace, account);

create table fx_rates (
  day                date        primary key,
  cad_per_usd_micros bigint      not null check (cad_per_usd_micros > 0),
  set_at             timestamptz not null
);
