import { statement } from '#controller/store/statement.ts';

/** Undoes begin_finalizing, under the shard's lock too: $1 shard, $2 uid, $3 epoch, $4 holder. */
export const clearFinalizing = statement<[shard: number, uid: string, epoch: number, holder: string], never>({
  name: 'clear_finalizing',
  repeatable: true,
  text: `
with held as materialized (
  select w.uid from work w
  where w.shard = $1::smallint and w.uid = $2::text and w.epoch = $3::bigint and w.holder = $4::text
  for update
)
update resources r set finalizing_at = null
from held h
where r.shard = $1::smallint and r.uid = h.uid and r.finalizing_at is not null`,
});
