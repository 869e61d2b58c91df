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
select r.id, r.state, r.selector, r.rate_per_second, r.created_by, r.created_at, r.finished_at,
  c.total, c.waiting, c.asked, c.done, c.healed, c.unchanged, f.failing
from replays r
cross join lateral (
  select count(*) as total,
    count(*) filter (where i.state = 'waiting') as waiting,
    count(*) filter (where i.state = 'asked') as asked,
    count(*) filter (where i.state = 'done') as done,
    count(*) filter (where i.ready_after and not i.ready_before) as healed,
    count(*) filter (where i.ready_after and i.ready_before) as unchanged
  from replay_items i where i.replay = r.id
) c
cross join lateral (
  select coalesce(jsonb_agg(jsonb_build_object('reason', n.reason, 'count', n.count) order by n.count desc, n.reason), '[]') as failing
  from (
    select coalesce(i.reason, 'Unknown') as reason, count(*) as count
    from replay_items i where i.replay = r.id and i.ready_after = false
    group by 1
  ) n
) f
where $1::text is null or r.id = $1::text
order by r.created_at desc, r.id
limit $2::int`,
});
