import { statement } from '#controller/store/statement.ts';

/** Remembers a request unless one is remembered. Of two at once the second waits here for the first, and then finds it. */
export const rememberRequest = statement<
  [shard: number, workspace: string, lineage: string, requestId: string, bodyDigest: string, results: string],
  { request_id: string }
>({
  name: 'remember_request',
  text: `
insert into requests (shard, workspace, lineage, request_id, body_digest, results, at)
values ($1::smallint, $2::text, $3::text, $4::text, $5::text, $6::text::jsonb, statement_timestamp())
on conflict do nothing returning request_id`,
});
