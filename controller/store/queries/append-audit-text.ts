/**
 * Appends links of audit chains, in the spelling of audit-chain.ts with their times in ISO-8601: $1 shard; `links`: a call that makes
 * records of JSON. It returns something: without, Citus would COPY, which row-level security refuses.
 */
export const appendAuditText = (links: string): string => `
  insert into audit_log (shard, workspace, seq, at, actor, lineage, procedure, outcome, target, body_digest, trace_id, prev_hash, hash)
  select $1::smallint, workspace, seq, at, actor, lineage, procedure, outcome, target, "bodyDigest", "traceId", "prevHash", hash
  from ${links} as a(
    workspace text, seq bigint, at timestamptz, actor text, lineage text, procedure text, outcome text, target text,
    "bodyDigest" text, "traceId" text, "prevHash" text, hash text)
  returning 1`;
