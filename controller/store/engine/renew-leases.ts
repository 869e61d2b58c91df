import { statement } from '#controller/store/statement.ts';

/** Renews the leases a holder still has among $3 in one shard: $1 shard, $2 holder, $3 uids, $4 lease in ms. Never shortens one. */
export const renewLeases = statement<
  [shard: number, holder: string, uids: readonly string[], leaseMs: number],
  { uid: string }
>({
  name: 'renew_leases',
  repeatable: true,
  text: `
with locked as materialized (
  select w.uid from work w
  where w.shard = $1::smallint and w.uid = any ($3::text[]) and w.holder = $2::text
  order by w.uid for update
)
update work w set
  lease_until = greatest(w.lease_until, statement_timestamp() + $4::int * interval '1 millisecond')
where w.shard = $1::smallint and w.uid = any (array(select uid from locked)) and w.holder = $2::text
returning w.uid`,
});
