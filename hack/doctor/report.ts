import type { Finding } from './check.ts';

export interface Report {
  /** What was looked at. */
  readonly subject: string;
  readonly findings: readonly Finding[];
}

/** One line per finding, `ok | warn | FAIL  <what>  <fact>  → <remedy>`, and a last one with the count. */
export function reportText({ subject, findings }: Report): string {
  const width = Math.max(0, ...findings.map(({ what }) => what.length));
  const lines = findings.map(({ what, verdict, fact, remedy }) => {
    const line = `${verdict.padEnd(4)}  ${what.padEnd(width)}  ${fact}`;
    return remedy === null ? line : `${line}  → ${remedy}`;
  });
  const count = (verdict: Finding['verdict']): number => findings.filter((one) => one.verdict === verdict).length;
  return [subject, ...lines, `${count('ok')} ok, ${count('warn')} warn, ${count('FAIL')} FAIL`, ''].join('\n');
}

/** The same for programs. */
export function reportJson(report: Report): string {
  return `${JSON.stringify({ ok: isHealthy(report), ...report }, null, 2)}\n`;
}

/** Whether nothing failed; warnings do not count. */
export function isHealthy({ findings }: Report): boolean {
  return findings.every(({ verdict }) => verdict !== 'FAIL');
}
