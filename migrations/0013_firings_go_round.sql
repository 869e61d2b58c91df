-- A firing that is asked for again on its way goes on from the shard where it is, and once round: up to the one before. Valid for the round
-- that it was written in, so that what a build of before asks for (from the first shard to the last) ends as that one means it.
alter table firings
  add column if not exists last_shard smallint,
  add column if not exists last_round bigint;
