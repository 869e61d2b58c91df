import { statement } from '#controller/store/statement.ts';
import { appendAuditText } from './append-audit-text.ts';

/** Appends one link, given as JSON in the spelling of audit-chain.ts with its time in ISO-8601. Under the shard's lock. */
export const insertAudit = statement<[shard: number, link: string], never>({
  name: 'insert_audit',
  text: appendAuditText('jsonb_to_record($2::text::jsonb)'),
});
