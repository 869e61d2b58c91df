-- Topics on their way through all shards: asked for in the transaction of their cause (a breaker that closes, a new build or credential),
-- and carried on by whichever replica finds one due.
create table if not exists firings (
  topic           text             primary key,
  rate_per_second double precision not null check (rate_per_second > 0),
  -- Asked for anew, it begins again at the first shard, and who was firing the old round does not move it on.
  round           bigint           not null default 1,
  next_shard      smallint         not null default 0 check (next_shard between 0 and 63),
  next_at         timestamptz      not null
);
grant select, insert, update, delete on firings to vibn_controller;

-- How far apart the rows of a draining topic become due, if its last firing (at spread_version) was spread; and when the next one does.
alter table topics
  add column if not exists spread_version bigint,
  add column if not exists spread_at timestamptz,
  add column if not exists spread_row_ms double precision;
