import { statement } from '#controller/store/statement.ts';
import { hearers, locked } from './fragments.ts';

/**
 * Locks every row of `work` that a declare will touch, in one order, before its two writing statements do: $1 shard, $2 uids of the owner
 * and of the children it changes, $3 topics that either fires, $4 the owner's uid, $5 epoch, $6 holder. A row: the owner's fence holds,
 * and will until COMMIT.
 */
export const lockDeclared = statement<
  [shard: number, uids: readonly string[], topics: readonly string[], owner: string, epoch: number, holder: string],
  { uid: string }
>({
  name: 'lock_declared',
  text: `
with rows as materialized (select unnest($2::text[]) as uid),
asked as materialized (select unnest($3::text[]) as topic),
${hearers},
${locked}
select l.uid from locked l where l.uid = $4::text and l.epoch = $5::bigint and l.holder = $6::text`,
});
