import { statement } from '#controller/store/statement.ts';

/**
 * Takes a platform-wide name for a row: $1 kind, $2 external name, $3 workspace, $4 uid. No row: somebody has it whom this
 * statement's snapshot does not show yet; ask again.
 */
export const takeClaim = statement<
  [kind: string, externalName: string, workspace: string, uid: string],
  { uid: string }
>({
  name: 'take_claim',
  repeatable: true,
  text: `
with taken as (
  insert into claims (kind, external_name, workspace, uid, taken_at)
  values ($1::text, $2::text, $3::text, $4::text, statement_timestamp())
  on conflict (kind, external_name) do nothing
  returning uid
)
select uid from taken union all select c.uid from claims c where c.kind = $1::text and c.external_name = $2::text`,
});
