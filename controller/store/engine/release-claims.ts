import { statement } from '#controller/store/statement.ts';

/**
 * Gives claims of one shard back: $1 shard, $2 uids, $3 epochs, $4 holders. Due at once: a probe's row was claimed before
 * it was due.
 */
export const releaseClaims = statement<
  [shard: number, uids: readonly string[], epochs: readonly number[], holders: readonly string[]],
  never
>({
  name: 'release_claims',
  repeatable: true,
  text: `
with input as materialized (
  select * from unnest($2::text[], $3::bigint[], $4::text[]) as i(uid, epoch, holder)
),
locked as materialized (
  select w.uid, w.epoch, w.holder from work w
  where w.shard = $1::smallint and w.uid = any ($2::text[])
  order by w.uid for update
)
update work w set holder = null, lease_until = null, due_at = least(w.due_at, statement_timestamp())
from locked l join input i using (uid, epoch, holder)
where w.shard = $1::smallint and w.uid = l.uid and w.uid = any ($2::text[])`,
});
