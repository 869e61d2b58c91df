import { join } from 'node:path';
import { readMigrations } from '#controller/store/migrate.ts';
import { fail, ok, warn } from './check.ts';
import type { Check, Finding } from './check.ts';
import type { DatabaseUrls } from './environment.ts';
import { databaseFailure, withSession } from './session.ts';

/** A file of migrations/, or a line of schema_migrations. */
export interface Migrated {
  readonly name: string;
  readonly checksum: string;
}

const what = 'database: migrations';
const standard = join(import.meta.dirname, '..', '..', 'migrations');

/** Every file was applied, as it is. Only the owner may read which were. */
export function migrationChecks(urls: DatabaseUrls, directory = standard): readonly Check[] {
  return [{ what, run: (signal) => lookAtMigrations(urls, { signal, directory }) }];
}

async function lookAtMigrations(
  { owner }: DatabaseUrls,
  { signal, directory }: { readonly signal: AbortSignal; readonly directory: string },
): Promise<readonly Finding[]> {
  if (owner === null) {
    const remedy = 'Set DATABASE_URL, the owner’s, for the doctor: the roles cannot read schema_migrations.';
    return [warn(what, 'not looked at: DATABASE_URL is not set', remedy)];
  }
  const files = await readMigrations(directory);
  try {
    const applied = await withSession({ url: owner, signal }, async (sql) => {
      const [found] = await sql.unsafe<{ table: string | null }[]>(
        `select to_regclass('public.schema_migrations')::text as "table"`,
      );
      if (found?.table == null) return [];
      return await sql.unsafe<Migrated[]>(`select name, checksum from schema_migrations order by name`);
    });
    return migrationFindings(files, applied);
  } catch (error) {
    return [databaseFailure(what, error)];
  }
}

/** Compares the files with what was applied. Pure. */
export function migrationFindings(files: readonly Migrated[], applied: readonly Migrated[]): readonly Finding[] {
  const checksums = new Map(applied.map(({ name, checksum }) => [name, checksum]));
  const names = new Set(files.map(({ name }) => name));
  const missing = files.filter(({ name }) => !checksums.has(name)).map(({ name }) => name);
  const edited = files.filter(({ name, checksum }) => (checksums.get(name) ?? checksum) !== checksum);
  const newer = applied.filter(({ name }) => !names.has(name)).map(({ name }) => name);
  const findings = [
    ...(missing.length === 0 ? [] : [fail(what, `not applied: ${missing.join(', ')}`, 'Run npm run migrate.')]),
    ...edited.map(({ name }) =>
      fail(what, `${name} was edited after it was applied`, 'Restore it, and put the change in a new file.'),
    ),
    ...(newer.length === 0
      ? []
      : [
          warn(
            what,
            `applied, and unknown to this version: ${newer.join(', ')}`,
            'This version is older than the schema: fine for a rollback, else deploy the newer one.',
          ),
        ]),
  ];
  return findings.length > 0 ? findings : [ok(what, `all ${files.length} applied, none edited`)];
}
