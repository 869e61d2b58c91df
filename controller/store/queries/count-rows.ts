import { statement } from '#controller/store/statement.ts';

/** Rows of a workspace: $1 shard, $2 workspace. An index walk over all of them, so that the caller keeps the answer for a while. */
export const countRows = statement<[shard: number, workspace: string], { rows: number }>({
  name: 'count_rows',
  repeatable: true,
  text: `select count(*) as rows from resources r where r.shard = $1::smallint and r.workspace = $2::text`,
});
