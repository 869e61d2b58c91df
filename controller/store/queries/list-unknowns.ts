import { statement } from '#controller/store/statement.ts';

export interface UnknownColumns {
  readonly workspace: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly effect: string;
  readonly attempt: number;
  readonly state: string;
  readonly sent_at: number | null;
  readonly give_up_at: number | null;
  readonly contradicts: boolean;
}

/**
 * Sends whose outcome nobody knows, and those that took effect although they had been given up: $1 workspace (null: all, for platform
 * keys), $2 its shard, $3 limit. The partial indexes on open and on contradicted intents bound the work to these.
 */
export const listUnknowns = statement<[workspace: string | null, shard: number | null, limit: number], UnknownColumns>({
  name: 'list_unknowns',
  repeatable: true,
  text: `
select r.workspace, r.kind, r.name, i.uid, i.effect, i.attempt, i.state, i.sent_at, i.give_up_at, i.contradicts
from intents i
join resources r on r.shard = i.shard and r.uid = i.uid
where (i.state in ('sending', 'unknown') and (i.state = 'unknown' or i.give_up_at <= statement_timestamp()) or i.contradicts)
  and ($2::smallint is null or i.shard = $2::smallint) and ($1::text is null or i.workspace = $1::text)
order by i.sent_at, i.shard, i.uid limit $3::int`,
});
