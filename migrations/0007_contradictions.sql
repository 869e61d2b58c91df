-- Serves decisions.list: sends that took effect after they had been given up. A person decides each of them; there are next to none.
create index if not exists intents_contradicted on intents (shard, uid) where contradicts;
