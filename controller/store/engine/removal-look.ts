import { statement } from '#controller/store/statement.ts';

/**
 * Whether a row may be removed, under the shard's lock: $1 shard, $2 uid, $3 epoch, $4 holder. No row: fenced (or gone). Children and
 * open sends cannot come after this look: the first need the shard's lock, the second this very fence.
 */
export const removalLook = statement<
  [shard: number, uid: string, epoch: number, holder: string],
  { workspace: string; kind: string; generation: number; deleted: boolean; children: number; open_intent: boolean }
>({
  name: 'removal_look',
  repeatable: true,
  text: `
select r.workspace, r.kind, r.generation, r.deleted_at is not null as deleted,
  (select count(*) from resources c where c.shard = $1::smallint and c.owner_uid = r.uid) as children,
  exists (
    select from intents i
    where i.shard = $1::smallint and i.uid = r.uid and i.state in ('sending', 'unknown')) as open_intent
from work w
join resources r on r.shard = $1::smallint and r.uid = w.uid
where w.shard = $1::smallint and w.uid = $2::text and w.epoch = $3::bigint and w.holder = $4::text`,
});
