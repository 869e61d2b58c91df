import { statement } from '#controller/store/statement.ts';

/** Starts a re-create: $1 shard, $2 uid, $3 epoch, $4 holder. A repeat only skips an incarnation. No row: fenced. */
export const beginRecreate = statement<
  [shard: number, uid: string, epoch: number, holder: string],
  { incarnation: number }
>({
  name: 'begin_recreate',
  repeatable: true,
  text: `
update work set incarnation = incarnation + 1, materialized_at = null
where shard = $1::smallint and uid = $2::text and epoch = $3::bigint and holder = $4::text
returning incarnation`,
});
