import { statement } from '#controller/store/statement.ts';

/** Wishes that an operation under way be cancelled; its mover acts. No row back: there is none under way. */
export const cancelOperation = statement<[shard: number, workspace: string, uid: string, key: string], { uid: string }>(
  {
    name: 'cancel_operation',
    repeatable: true,
    text: `
update operations set cancel_requested_at = coalesce(cancel_requested_at, t.now)
from (select statement_timestamp() as now) t
where shard = $1::smallint and workspace = $2::text and uid = $3::text and key = $4::text and state in ('waiting', 'running')
returning uid`,
  },
);
