import { statement } from '#controller/store/statement.ts';

/**
 * Extends one lease over a provider call: $1 shard, $2 uid, $3 epoch, $4 holder, $5 ms. No row: the lease is lost or over, and
 * nothing may be sent.
 */
export const extendLease = statement<
  [shard: number, uid: string, epoch: number, holder: string, ms: number],
  { wake_seq: number }
>({
  name: 'extend_lease',
  repeatable: true,
  text: `
update work set
  lease_until = greatest(lease_until, statement_timestamp() + $5::int * interval '1 millisecond')
where shard = $1::smallint and uid = $2::text and epoch = $3::bigint and holder = $4::text
  and lease_until > statement_timestamp()
returning wake_seq`,
});
