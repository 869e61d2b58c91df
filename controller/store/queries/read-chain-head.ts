import { statement } from '#controller/store/statement.ts';

/** The last link of a workspace's audit chain and the time; nulls if it is empty. Under the shard's lock. */
export const readChainHead = statement<
  [shard: number, workspace: string],
  { now: number; seq: number | null; hash: string | null }
>({
  name: 'read_chain_head',
  repeatable: true,
  text: `
select statement_timestamp() as now, a.seq, a.hash
from (select) one
left join lateral (
  select l.seq, l.hash from audit_log l where l.shard = $1::smallint and l.workspace = $2::text order by l.seq desc limit 1
) a on true`,
});
