import { conditionMatches } from '#controller/store/projected-conditions.ts';
import { viewColumns, viewJoins, type ViewColumns } from '#controller/store/resource-columns.ts';
import { statement } from '#controller/store/statement.ts';

/** A page over all workspaces, for platform keys, in the order workspace, kind, name. The one list that crosses shards. */
export const listEverywhere = statement<
  [
    kind: string | null,
    labels: string | null,
    condition: string | null,
    owner: string | null,
    afterWorkspace: string,
    afterKind: string,
    afterName: string,
    limit: number,
  ],
  ViewColumns
>({
  name: 'list_everywhere',
  repeatable: true,
  text: `
select ${viewColumns} from resources r ${viewJoins('r.shard')}
where ($1::text is null or r.kind = $1::text)
  and ($2::text is null or r.labels @> $2::text::jsonb)
  and ($3::text is null or ${conditionMatches('$3::text::jsonb')})
  and ($4::text is null or r.owner_uid = $4::text)
  and (r.workspace, r.kind, r.name) > ($5::text, $6::text, $7::text)
order by r.workspace, r.kind, r.name
limit $8::int`,
});
