import type { Revision } from '#controller/store/rows.ts';
import { statement } from '#controller/store/statement.ts';

/** What was declared of a row, newest first. */
export const readRevisions = statement<
  [shard: number, workspace: string, uid: string, limit: number],
  Omit<Revision, 'requestId'> & { readonly request_id: string | null }
>({
  name: 'read_revisions',
  repeatable: true,
  text: `
select v.generation, v.spec, v.by, v.request_id, v.approved, v.confirmed, v.at
from revisions v where v.shard = $1::smallint and v.workspace = $2::text and v.uid = $3::text
order by v.generation desc limit $4::int`,
});
