import { statement } from '#controller/store/statement.ts';
import type { RememberedRequest, StoredPlan } from '#controller/store/rows.ts';

export interface MutationHead {
  readonly now: number;
  readonly request: RememberedRequest | null;
  readonly plan: StoredPlan | null;
  /** The last link of the workspace's audit chain. */
  readonly seq: number | null;
  readonly hash: string | null;
}

/**
 * What a mutation sees beside rows, read under the shard's lock: $1 shard, $2 workspace, $3 and $4 lineage and id of its request,
 * $5 the quoted plan hash, $6 and $7 kind and name of the first row asked for. A hash may stand for several changes: the one of that row
 * comes first.
 */
export const readMutationHead = statement<
  [
    shard: number,
    workspace: string,
    lineage: string | null,
    requestId: string | null,
    planHash: string | null,
    kind: string | null,
    name: string | null,
  ],
  MutationHead
>({
  name: 'read_mutation_head',
  repeatable: true,
  text: `
select
  statement_timestamp() as now,
  (select jsonb_build_object('bodyDigest', q.body_digest, 'results', q.results) from requests q
   where q.shard = $1::smallint and q.workspace = $2::text and q.lineage = $3::text and q.request_id = $4::text) as request,
  (select jsonb_build_object('hash', p.hash, 'workspace', p.workspace,
     'ref', jsonb_build_object('workspace', p.workspace, 'kind', p.kind, 'name', p.name), 'baseGeneration', p.base_generation,
     'desiredDigest', p.desired_digest, 'actions', p.actions, 'expiresAt', floor(extract(epoch from p.expires_at) * 1000))
   from plans p
   where p.shard = $1::smallint and p.hash = $5::text and p.workspace = $2::text and p.expires_at > statement_timestamp()
   order by (p.kind = $6::text and p.name = $7::text) desc nulls last limit 1) as plan,
  a.seq, a.hash
from (select) one
left join lateral (
  select l.seq, l.hash from audit_log l where l.shard = $1::smallint and l.workspace = $2::text order by l.seq desc limit 1
) a on true`,
});
