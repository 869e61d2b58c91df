import { statement } from '#controller/store/statement.ts';

/**
 * Ends sessions of this login that have waited for their client in the midst of a statement: $1 for longer than so many ms. Postgres's own
 * timeouts pass them by (15: neither idle in a transaction nor running a statement), so the locks of a frozen process, or of one behind a
 * dead network, would be held until its socket dies: a frozen controller held a shard's row for as long as it was frozen. Describing a
 * statement that a pooler had prepared there before ends the timeout of an idle transaction without showing as activity.
 */
export const endStuckSessions = statement<[ms: number], { ended: boolean }>({
  name: 'end_stuck_sessions',
  repeatable: true,
  text: `
select pg_terminate_backend(a.pid) as ended
from pg_stat_activity a
where a.usename = current_user and a.datname = current_database() and a.pid <> pg_backend_pid()
  and a.state in ('active', 'idle in transaction', 'idle in transaction (aborted)')
  and a.wait_event = 'ClientRead'
  and a.state_change < statement_timestamp() - $1::int * interval '1 millisecond'`,
});
