-- The one wake mechanism: who listens to what, and when it last fired (architecture §4, Wakes).

create table topics (
  shard         smallint not null,
  topic         text     not null,
  -- The shard's version when it last fired: a settle whose pass had read less is due again at once.
  fired_version bigint   not null,
  -- More listeners than the firing woke (the first 500 by uid): the last uid woken. Any controller wakes the rest in chunks,
  -- moves this on, and clears it at the end.
  draining      text,
  primary key (shard, topic)
) with (fillfactor = 70);
create index topics_draining on topics (shard) where draining is not null;

create table listeners (
  shard smallint not null,
  topic text     not null,
  uid   text     not null,
  primary key (shard, topic, uid),
  foreign key (shard, uid) references resources on delete cascade
);
create index listeners_by_row on listeners (shard, uid);
