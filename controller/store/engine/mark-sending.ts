import { statement } from '#controller/store/statement.ts';

/**
 * announced → sending, with the lease that the send needs, directly before it: $1 shard, $2 uid, $3 epoch, $4 holder, $5 nonce,
 * $6 call timeout in ms, $7 lease in ms. No row: fenced, the lease is over, not announced, or another send of the row is open. All
 * writers of intents lock the row of `work` first, so what this statement sees is what there is.
 */
export const markSending = statement<
  [shard: number, uid: string, epoch: number, holder: string, nonce: string, timeoutMs: number, leaseMs: number],
  { wake_seq: number }
>({
  name: 'mark_sending',
  text: `
with held as materialized (
  select w.uid from work w
  where w.shard = $1::smallint and w.uid = $2::text and w.epoch = $3::bigint and w.holder = $4::text
    and w.lease_until > statement_timestamp()
  for update
),
marked as (
  update intents i set
    state = 'sending',
    sent_at = statement_timestamp(),
    give_up_at = statement_timestamp() + $6::int * interval '1 millisecond'
  from held h
  where i.shard = $1::smallint and i.uid = h.uid and i.uid = $2::text and i.nonce = $5::text and i.state = 'announced'
    and not exists (
      select from intents o
      where o.shard = $1::smallint and o.uid = $2::text and o.state in ('sending', 'unknown'))
  returning i.uid
)
update work w set
  lease_until = greatest(w.lease_until, statement_timestamp() + $7::int * interval '1 millisecond')
from marked m
where w.shard = $1::smallint and w.uid = m.uid
returning w.wake_seq`,
});
