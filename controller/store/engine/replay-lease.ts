import type { ReplayState } from '#controller/store/replay-store.ts';
import { statement } from '#controller/store/statement.ts';

/**
 * Leases the oldest unfinished replay that is free or the holder's own: $1 holder, $2 lease in ms. Notes on the way when cancelled ones
 * ended, which the API may not write.
 */
export const replayLease = statement<
  [holder: string, leaseMs: number],
  { id: string; state: ReplayState; rate_per_second: number; filled_through: number }
>({
  name: 'replay_lease',
  repeatable: true,
  text: `
with over as (
  update replays set finished_at = statement_timestamp() where state = 'cancelled' and finished_at is null
),
picked as materialized (
  select id from replays
  where state in ('filling', 'running')
    and (holder is null or holder = $1::text or lease_until <= statement_timestamp())
  order by created_at, id limit 1
  for update skip locked
)
update replays r set holder = $1::text, lease_until = statement_timestamp() + $2::int * interval '1 millisecond'
from picked p
where r.id = p.id
returning r.id, r.state, r.rate_per_second, r.filled_through`,
});
