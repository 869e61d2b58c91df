import { statement } from '#controller/store/statement.ts';
import type { RememberedRequest, StoredPlan } from '#controller/store/rows.ts';

export interface MutationHead {
  readonly now: number;
  readonly request: RememberedRequest | null;
  readonly plan: StoredPlan | null;
  /** The last link of the workspace's audit chain. */
  readonly seq: number | null;
  readonly hash: string | null;
  /** Whether anyone listens to one of the topics asked after. */
  readonly heard: boolean;
}

/**
 * What mutations of one workspace see beside rows, read under the shard's lock, a row for each in their order: $1 shard, $2 workspace, and
 * in parallel arrays $3 and $4 lineage and id of its request, $5 the quoted plan hash, $6 and $7 kind and name of the first row asked for.
 * A hash may stand for several changes: the one of that row comes first. $8 topics.
 */
export const readMutationHeads = statement<
  [
    shard: number,
    workspace: string,
    lineages: readonly (string | null)[],
    requestIds: readonly (string | null)[],
    planHashes: readonly (string | null)[],
    kinds: readonly (string | null)[],
    names: readonly (string | null)[],
    topics: readonly string[],
  ],
  MutationHead
>({
  name: 'read_mutation_heads',
  repeatable: true,
  text: `
select
  statement_timestamp() as now,
  (select jsonb_build_object('bodyDigest', q.body_digest, 'results', q.results) from requests q
   where q.shard = $1::smallint and q.workspace = $2::text and q.lineage = i.lineage and q.request_id = i.request_id) as request,
  (select jsonb_build_object('hash', p.hash, 'workspace', p.workspace,
     'ref', jsonb_build_object('workspace', p.workspace, 'kind', p.kind, 'name', p.name), 'baseGeneration', p.base_generation,
     'desiredDigest', p.desired_digest, 'actions', p.actions, 'expiresAt', floor(extract(epoch from p.expires_at) * 1000))
   from plans p
   where p.shard = $1::smallint and p.hash = i.plan_hash and p.workspace = $2::text and p.expires_at > statement_timestamp()
   order by (p.kind = i.kind and p.name = i.name) desc nulls last limit 1) as plan,
  a.seq, a.hash,
  exists (select from listeners l where l.shard = $1::smallint and l.topic = any ($8::text[])) as heard
from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) with ordinality
  as i(lineage, request_id, plan_hash, kind, name, place)
left join lateral (
  select l.seq, l.hash from audit_log l where l.shard = $1::smallint and l.workspace = $2::text order by l.seq desc limit 1
) a on true
order by i.place`,
});
