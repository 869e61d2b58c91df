import type { PassColumns } from '#controller/store/queries/read-passes.ts';
import { statement } from '#controller/store/statement.ts';

/** Passes of a row, newest first: $1 shard, $2 uid, $3 one epoch or null, $4 at most so many. */
export const readJournal = statement<[shard: number, uid: string, epoch: number | null, limit: number], PassColumns>({
  name: 'read_journal',
  repeatable: true,
  text: `
select uid, epoch, at, generation, trigger, observed, observed_digest, plan, plan_digest, calls, outcome, duration_ms, trace_id
from passes
where shard = $1::smallint and uid = $2::text and ($3::bigint is null or epoch = $3::bigint)
order by epoch desc
limit $4::int`,
});
