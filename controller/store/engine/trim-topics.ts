import { statement } from '#controller/store/statement.ts';

/**
 * Trims topics without listeners that did not fire for $2 ms: $1 shard, $3 at most so many. A firing stores no time: topics fired no
 * later than `topics_mark`, the version at `topics_marked_at`, are at least as old as that. When none of those is left, the mark moves on.
 * One that fired while this waited for the shard is of no snapshot here: the DELETE asks its newest version once more.
 */
export const trimTopics = statement<[shard: number, ageMs: number, limit: number], { trimmed: number }>({
  name: 'trim_topics',
  repeatable: true,
  text: `
with mine as materialized (
  select shard, topics_mark from shards
  where shard = $1::smallint and topics_marked_at < statement_timestamp() - $2::bigint * interval '1 millisecond'
  for update
),
old as materialized (
  select t.topic from mine m join topics t on t.shard = m.shard and t.shard = $1::smallint and t.fired_version <= m.topics_mark
  where t.draining is null and not exists (
    select from listeners l where l.shard = $1::smallint and l.topic = t.topic)
  limit $3::int
),
gone as (
  delete from topics t using old o, mine m
  where t.shard = $1::smallint and t.topic = o.topic and t.fired_version <= m.topics_mark
  returning 1
),
moved as (
  update shards s set topics_mark = s.version, topics_marked_at = statement_timestamp()
  from mine m
  where s.shard = $1::smallint and (select count(*) from old) < $3::int
)
select count(*) as trimmed from gone`,
});
