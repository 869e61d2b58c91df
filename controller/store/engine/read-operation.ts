import type { OperationView } from '#controller/contract.ts';
import { statement } from '#controller/store/statement.ts';

/** One long operation of a row: $1 shard, $2 uid, $3 key. */
export const readOperation = statement<[shard: number, uid: string, key: string], OperationView>({
  name: 'read_operation',
  repeatable: true,
  text: `
select key, state, progress, result from operations
where shard = $1::smallint and uid = $2::text and key = $3::text`,
});
