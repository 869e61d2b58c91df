import { statement } from '#controller/store/statement.ts';
import type { ClaimedRow } from './claim-rows.ts';

/**
 * Claims one row of a shard that listens to a topic, due or not, as claim_rows would: $1 shard, $2 topic, $3 holder, $4 lease in ms, $5
 * the kinds this build knows, or null for all. The one whose last pass is longest ago: a row that gets nowhere (it waits for another
 * first) must not be every probe.
 */
export const claimProbe = statement<
  [shard: number, topic: string, holder: string, leaseMs: number, kinds: readonly string[] | null],
  ClaimedRow
>({
  name: 'claim_probe',
  text: `
with picked as materialized (
  select w.uid
  from listeners l
  join work w on w.shard = l.shard and w.uid = l.uid
  where l.shard = $1::smallint and l.topic = $2::text
    and (w.lease_until is null or w.lease_until <= statement_timestamp())
    and ($5::text[] is null or w.kind = any ($5::text[]))
  order by w.passed_at nulls first, l.uid limit 1
  for update of w skip locked
)
update work w set
  lease_until = statement_timestamp() + $4::int * interval '1 millisecond',
  holder = $3::text,
  epoch = w.epoch + 1,
  claimed_at = statement_timestamp(),
  taken_over_at = case when w.holder is null then w.taken_over_at else w.lease_until end
from picked p
where w.shard = $1::smallint and w.uid = p.uid
returning w.uid, w.workspace, w.kind, w.epoch, w.wake_seq, w.claimed_at`,
});
