import { resourceColumns, type ResourceColumns } from '#controller/store/resource-columns.ts';
import { statement } from '#controller/store/statement.ts';

/**
 * Rows of a workspace of all kinds but some, by uid: $1 shard, $2 workspace, $3 kinds left out, $4 after this uid, $5 at most so many.
 * `present` hops from kind to kind over the index of names, so that thousands of rows of a kind left out cost one probe.
 */
export const listOthers = statement<
  [shard: number, workspace: string, otherThan: readonly string[], after: string, limit: number],
  ResourceColumns
>({
  name: 'list_others',
  repeatable: true,
  text: `
with recursive present as (
  (select r.kind from resources r where r.shard = $1::smallint and r.workspace = $2::text order by r.kind limit 1)
  union all
  select n.kind
  from present p
  cross join lateral (
    select r.kind from resources r
    where r.shard = $1::smallint and r.workspace = $2::text and r.kind > p.kind
    order by r.kind limit 1
  ) n
)
select ${resourceColumns}
from present p
cross join lateral (
  select * from resources r
  where r.shard = $1::smallint and r.workspace = $2::text and r.kind = p.kind and r.uid > $4::text
  order by r.uid limit $5::int
) r
where p.kind <> all ($3::text[])
order by r.uid
limit $5::int`,
});
