import { resourceColumns, type ResourceColumns } from '#controller/store/resource-columns.ts';
import { statement } from '#controller/store/statement.ts';

/**
 * Rows of a workspace, owned by one row or of some kinds, by uid, with the shard's version of the same snapshot: $1 shard,
 * $2 workspace, $3 owner's uid or null, $4 kinds or null, $5 after this uid, $6 at most so many. One row with a null uid: none.
 */
export const listRows = statement<
  [
    shard: number,
    workspace: string,
    ownerUid: string | null,
    kinds: readonly string[] | null,
    after: string,
    limit: number,
  ],
  { shard_version: number } & (ResourceColumns | { uid: null })
>({
  name: 'list_rows',
  repeatable: true,
  text: `
select s.version as shard_version, ${resourceColumns}
from shards s
left join resources r
  on r.shard = $1::smallint and r.workspace = $2::text
  and ($3::text is null or r.owner_uid = $3::text)
  and ($4::text[] is null or r.kind = any ($4::text[]))
  and r.uid > $5::text
where s.shard = $1::smallint
order by r.uid
limit $6::int`,
});
