import type postgres from 'postgres';
import { brokenIn, type AuditLink } from '#controller/store/audit-chain.ts';
import { fail, ok } from './check.ts';
import type { Check, Finding } from './check.ts';
import type { DatabaseUrls } from './environment.ts';
import { sessionCheck } from './session.ts';

const what = 'database: audit chains';
/** Newest links looked at of each chain, and chains, those with the newest entries first: a look must end within its seconds. */
const linksMax = 2_000;
const chainsMax = 200;

/** Whether the audit log was tampered with: each workspace's entries are chained by hashes. Seen as vibn_platform, which sees all. */
export function auditChecks(urls: DatabaseUrls): readonly Check[] {
  const url = urls.logins.vibn_platform;
  if (url === null) return [];
  return [sessionCheck({ what, url }, lookAtChains)];
}

async function lookAtChains(sql: postgres.Sql): Promise<readonly Finding[]> {
  const chains = await sql.unsafe<{ shard: number; workspace: string }[]>(`
    select shard::int, workspace from audit_log group by shard, workspace order by max(at) desc limit ${chainsMax}`);
  const findings: Finding[] = [];
  let links = 0;
  for (const { shard, workspace } of chains) {
    const newest = await readLinks(sql, shard, workspace);
    links += newest.length;
    const broken = brokenIn(newest);
    if (broken !== null) findings.push(tampered(workspace, broken));
  }
  return findings.length > 0 ? findings : [ok(what, `whole: the newest ${links} entries of ${chains.length} chains`)];
}

async function readLinks(sql: postgres.Sql, shard: number, workspace: string): Promise<readonly AuditLink[]> {
  const rows = await sql.unsafe<(Omit<AuditLink, 'at'> & { at: string })[]>(
    `select workspace, seq::int, (extract(epoch from at) * 1000)::bigint::text as at, actor, lineage, procedure, outcome, target,
      body_digest as "bodyDigest", trace_id as "traceId", prev_hash as "prevHash", hash
    from audit_log where shard = $1::smallint and workspace = $2::text order by seq desc limit ${linksMax}`,
    [shard, workspace],
  );
  return rows.map((row) => ({ ...row, at: Number(row.at) })).toReversed();
}

function tampered(workspace: string, seq: number): Finding {
  return fail(
    what,
    `entry ${seq} of ${workspace === '-' ? 'the platform' : `workspace ${workspace}`} is not what was written`,
    'Somebody with the rights of the owner changed audit_log: compare it with a backup or an export from before, and find out who.',
  );
}
