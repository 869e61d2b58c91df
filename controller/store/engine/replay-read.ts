import type { ReplaySelector, ReplayState } from '#controller/store/replay-store.ts';
import { statement } from '#controller/store/statement.ts';

export interface ReplayColumns {
  readonly id: string;
  readonly state: ReplayState;
  readonly selector: ReplaySelector;
  readonly rate_per_second: number;
  readonly created_by: string;
  readonly created_at: number;
  readonly finished_at: number | null;
  readonly total: number;
  readonly waiting: number;
  readonly asked: number;
  readonly done: number;
  readonly healed: number;
  readonly unchanged: number;
  readonly failing: readonly { readonly reason: string; readonly count: number }[];
}

/** Replays with their counts, newest first: $1 one id or null, $2 at most so many. Counts over all shards, by the index. */
export const replayRead = statement<[id: string | null, limit: number], ReplayColumns>({
  name: 'replay_read',
  repeatable: true,
  text: `
with chosen as materialized (
  select r.id, r.state, r.selector, r.rate_per_second, r.created_by, r.created_at, r.finished_at
  from replays r
  where $1::text is null or r.id = $1::text
  order by r.created_at desc, r.id
  limit $2::int
),
tallies as materialized (
  select i.replay, case when i.ready_after = false then coalesce(i.reason, 'Unknown') end as failure,
    count(*) as total,
    count(*) filter (where i.state = 'waiting') as waiting,
    count(*) filter (where i.state = 'asked') as asked,
    count(*) filter (where i.state = 'done') as done,
    count(*) filter (where i.ready_after and not i.ready_before) as healed,
    count(*) filter (where i.ready_after and i.ready_before) as unchanged
  from replay_items i
  where i.replay = any (array(select id from chosen))
  group by 1, 2
)
select r.id, r.state, r.selector, r.rate_per_second, r.created_by, r.created_at, r.finished_at, c.*
from chosen r
cross join lateral (
  select coalesce(sum(t.total), 0)::bigint as total,
    coalesce(sum(t.waiting), 0)::bigint as waiting,
    coalesce(sum(t.asked), 0)::bigint as asked,
    coalesce(sum(t.done), 0)::bigint as done,
    coalesce(sum(t.healed), 0)::bigint as healed,
    coalesce(sum(t.unchanged), 0)::bigint as unchanged,
    coalesce(jsonb_agg(jsonb_build_object('reason', t.failure, 'count', t.total) order by t.total desc, t.failure)
      filter (where t.failure is not null), '[]') as failing
  from tallies t where t.replay = r.id
) c
order by r.created_at desc, r.id`,
});
