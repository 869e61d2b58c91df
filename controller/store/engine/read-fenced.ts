import { statement } from '#controller/store/statement.ts';

/** The workspace of a row whose fence holds: $1 shard, $2 uid, $3 epoch, $4 holder. No row: fenced. Locks nothing. */
export const readFenced = statement<[shard: number, uid: string, epoch: number, holder: string], { workspace: string }>(
  {
    name: 'read_fenced',
    repeatable: true,
    text: `
select w.workspace from work w
where w.shard = $1::smallint and w.uid = $2::text and w.epoch = $3::bigint and w.holder = $4::text`,
  },
);
