import { statement } from '#controller/store/statement.ts';

/**
 * Notes the rows of one shard that a replay is to ask: $1 shard, $2 replay, $3 rank by kind as JSON text (kinds that this build does not
 * know come last, so that they hold up none that it does), $4 kinds of which a Ready
 * row is finished for good, $5 after this uid, $6 at most so many. Suspended rows are left out. Answers how many rows were noted
 * and the last uid looked at, null when that was the end of the shard.
 */
export const replayFill = statement<
  [shard: number, replay: string, ranks: string, onceKinds: readonly string[], after: string, limit: number],
  { noted: number; last: string | null }
>({
  name: 'replay_fill',
  repeatable: true,
  text: `
with wanted as materialized (
  select selector as s from replays where id = $2::text and state = 'filling'
),
seen as materialized (
  select r.uid, r.workspace, r.kind, r.name, r.labels, r.spec, r.conditions
  from wanted, resources r
  where r.shard = $1::smallint and r.uid > $5::text
  order by r.uid limit $6::int
),
chosen as materialized (
  select r.uid, coalesce(($3::text::jsonb ->> r.kind)::int, (select count(*)::int from jsonb_object_keys($3::text::jsonb))) as rank
  from seen r cross join wanted
  where (s ->> 'workspace' is null or r.workspace = s ->> 'workspace')
    and (s ->> 'kind' is null or r.kind = s ->> 'kind')
    and (s -> 'names' is null or s -> 'names' ? r.name)
    and r.labels @> coalesce(s -> 'labels', '{}')
    and (s -> 'condition' is null or exists (
      select from jsonb_array_elements(r.conditions) as c
      where c @> jsonb_strip_nulls(s -> 'condition')))
    and coalesce(r.spec -> 'suspend', 'null') = 'null'
    and not (r.kind = any ($4::text[]) and r.conditions @> '[{"type":"Ready","status":"True"}]')
),
noted as (
  insert into replay_items (shard, replay, uid, rank, ready_before)
  select $1::smallint, $2::text, c.uid, c.rank, false from chosen c
  on conflict (shard, replay, uid) do nothing
)
select (select count(*) from chosen) as noted,
  case when (select count(*) from seen) = $6::int then (select max(uid) from seen) end as last`,
});
