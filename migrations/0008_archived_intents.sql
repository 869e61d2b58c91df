-- Intents that no pass needs to see: done ones but the newest of their family, refused and retired ones that a later attempt replaced.
-- A done one stays for ever all the same, since its effect is never sent again.
alter table intents add column if not exists archived boolean not null default false;
create index if not exists intents_in_use on intents (shard, uid, effect, attempt) where not archived;
