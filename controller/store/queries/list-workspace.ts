import { conditionMatches } from '#controller/store/projected-conditions.ts';
import { viewColumns, viewJoins, type ViewColumns } from '#controller/store/resource-columns.ts';
import { statement } from '#controller/store/statement.ts';

/** A page of one workspace, in the order kind, name, with the shard's version of the same snapshot. An empty page is one row of nulls. */
export const listWorkspace = statement<
  [
    shard: number,
    workspace: string,
    kind: string | null,
    labels: string | null,
    condition: string | null,
    owner: string | null,
    afterKind: string,
    afterName: string,
    limit: number,
  ],
  (ViewColumns | { readonly uid: null }) & { readonly shard_version: number }
>({
  name: 'list_workspace',
  repeatable: true,
  text: `
select s.version as shard_version, page.*
from shards s
left join lateral (
  select ${viewColumns} from resources r ${viewJoins('$1::smallint')}
  where r.shard = $1::smallint and r.workspace = $2::text
    and ($3::text is null or r.kind = $3::text)
    and ($4::text is null or r.labels @> $4::text::jsonb)
    and ($5::text is null or ${conditionMatches('$5::text::jsonb')})
    and ($6::text is null or r.owner_uid = $6::text)
    and (r.kind, r.name) > ($7::text, $8::text)
  order by r.kind, r.name
  limit $9::int
) page on true
where s.shard = $1::smallint
order by page.kind, page.name`,
});
