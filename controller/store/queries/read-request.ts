import type { Json } from '#resources/json.ts';
import { statement } from '#controller/store/statement.ts';

/** A remembered request. */
export const readRequest = statement<
  [shard: number, workspace: string, lineage: string, requestId: string],
  { body_digest: string; results: Json }
>({
  name: 'read_request',
  repeatable: true,
  text: `
select body_digest, results from requests
where shard = $1::smallint and workspace = $2::text and lineage = $3::text and request_id = $4::text`,
});
