/**
 * `npm run migrate`: DATABASE_URL is the owner's; VIBN_DB_ROLE_PASSWORD becomes the password of the login roles, or of each its own:
 * VIBN_DB_ROLE_PASSWORD_API, _PLATFORM, _CONTROLLER.
 */
import { migrate, MigrateError } from './migrate.ts';
import { rolePasswordsOf } from './roles.ts';

const url = process.env['DATABASE_URL'] ?? '';
const rolePassword = rolePasswordsOf(process.env);
const print = (line: string): void => void process.stdout.write(`${line}\n`);

try {
  if (url === '') throw new MigrateError('DATABASE_URL is not set: postgres://user:password@host:5432/database.');
  const applied = await migrate({ url, print, rolePassword });
  if (applied.length === 0) print('nothing to apply');
} catch (error) {
  process.stderr.write(`${error instanceof MigrateError ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
