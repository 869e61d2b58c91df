import { statement } from '#controller/store/statement.ts';

/** Appends one link, given as JSON in the spelling of audit-chain.ts with its time in ISO-8601. Under the shard's lock. */
export const insertAudit = statement<[shard: number, link: string], never>({
  name: 'insert_audit',
  text: `
insert into audit_log (shard, workspace, seq, at, actor, lineage, procedure, outcome, target, body_digest, trace_id, prev_hash, hash)
select $1::smallint, workspace, seq, at, actor, lineage, procedure, outcome, target, "bodyDigest", "traceId", "prevHash", hash
from jsonb_to_record($2::text::jsonb) as a(
  workspace text, seq bigint, at timestamptz, actor text, lineage text, procedure text, outcome text, target text,
  "bodyDigest" text, "traceId" text, "prevHash" text, hash text)
returning 1`,
});
