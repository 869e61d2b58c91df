import { auditChecks } from './audit-checks.ts';
import type { Check } from './check.ts';
import { databaseUrls, loginsOf } from './environment.ts';
import type { Subject } from './environment.ts';
import { gcsChecks } from './gcs-checks.ts';
import { loginChecks } from './login-checks.ts';
import { migrationChecks } from './migration-checks.ts';
import { poolerChecks } from './pooler-checks.ts';
import { roleChecks } from './role-checks.ts';
import { serverChecks } from './server-checks.ts';
import { settingsChecks } from './settings-checks.ts';
import { wallChecks } from './wall-checks.ts';

/** Every check of a subject, in the order of the report. A kind or provider adds one line: its checks from the subject. */
export function checksOf(subject: Subject): readonly Check[] {
  return [...settingsChecks(subject), ...databaseChecks(subject), ...roleChecks(subject), ...gcsChecks(subject)];
}

/** What concerns Postgres. */
export function databaseChecks(subject: Subject): readonly Check[] {
  const urls = databaseUrls(subject.env);
  return [
    ...serverChecks(subject, urls),
    ...migrationChecks(urls),
    ...loginChecks(urls, loginsOf(subject.roles)),
    ...wallChecks(urls),
    ...auditChecks(urls),
    ...poolerChecks(urls),
  ];
}
