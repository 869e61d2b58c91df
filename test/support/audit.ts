import type { AuditEntry } from '#controller/store/recording.ts';

/** An audit entry for tests that look at something else: say only what they do look at. */
export function makeAudit(said: Partial<AuditEntry> = {}): AuditEntry {
  return {
    actor: 'k',
    lineage: 'l',
    procedure: 'p',
    outcome: 'ok',
    target: 't',
    bodyDigest: 'd',
    traceId: 'x',
    ...said,
  };
}
