import { randomBytes } from 'node:crypto';
import postgres from 'postgres';
import { inject } from 'vitest';
import { systemClock, systemRng } from '#controller/clock.ts';
import type { LoginRole } from '#controller/store/roles.ts';
import { connect, loginUrl, type Sql, type SqlOptions } from '#controller/store/sql.ts';
import { cloneOnAll, dropOnAll } from './cluster.ts';
import { urlThrough, withDatabase } from './urls.ts';

/** A database of its own, cloned from the migrated template; dropped, with what was opened on it, by `await using`. */
export interface TestDatabase extends AsyncDisposable {
  readonly name: string;
  /** The owner's URL: bypasses row-level security where it is a superuser. */
  readonly ownerUrl: string;
  readonly rolePassword: string;
  /** Through the pooler, if the run has one. */
  urlOf(role: LoginRole): string;
  /** Past it: DATABASE_URL_DIRECT. */
  directUrlOf(role: LoginRole): string;
  /** The product's driver, logged in as a role; closed with the database. */
  sql(role: LoginRole, options?: Partial<SqlOptions>): Sql;
  /** Plain postgres.js as the owner, for arranging and looking; closed with the database. */
  readonly owner: postgres.Sql;
  /** Plain postgres.js as a role; closed with the database. */
  login(role: LoginRole): postgres.Sql;
}

/** Whether the run's server is a Citus coordinator: what cannot be so there is skipped, with its reason. */
export const onCitus = (): boolean => inject('citusWorkers').length > 0;

export interface CreateDatabaseOptions {
  /** False: an empty database instead of a clone of the template. */
  readonly migrated?: boolean;
}

/** Makes a database for one test or test file (about 50 ms). */
export async function createDatabase({ migrated = true }: CreateDatabaseOptions = {}): Promise<TestDatabase> {
  const rolePassword = inject('postgresRolePassword');
  const serverUrl = inject('postgresOwnerUrl');
  const name = `vibn_test_${randomBytes(6).toString('hex')}`;
  const workers = migrated ? inject('citusWorkers') : [];
  const admin = postgres(serverUrl, { max: 1, onnotice: () => undefined });
  if (workers.length > 0) await cloneOnAll(serverUrl, workers, { name, template: inject('postgresTemplate') });
  else await admin.unsafe(`create database ${name} template ${migrated ? inject('postgresTemplate') : 'template0'}`);

  const ownerUrl = withDatabase(serverUrl, name);
  const opened: { end(options?: { timeout: number }): Promise<void> }[] = [];
  const plain = (target: string): postgres.Sql => {
    const sql = postgres(target, { max: 4, onnotice: () => undefined });
    opened.push(sql);
    return sql;
  };
  const directUrlOf = (role: LoginRole): string => loginUrl(ownerUrl, role, rolePassword);
  const poolerPort = inject('poolerPort');
  const urlOf = (role: LoginRole): string => {
    const direct = directUrlOf(role);
    return poolerPort === 0 ? direct : urlThrough({ port: poolerPort }, direct);
  };
  return {
    name,
    ownerUrl,
    rolePassword,
    urlOf,
    directUrlOf,
    owner: plain(ownerUrl),
    login: (role) => plain(urlOf(role)),
    sql: (role, options = {}) => {
      const sql = connect({ url: urlOf(role), role, max: 4, clock: systemClock, rng: systemRng, ...options });
      opened.push(sql);
      return sql;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(opened.map((sql) => sql.end({ timeout: 1 })));
      await dropOnAll([serverUrl, ...workers], name);
      await admin.end({ timeout: 1 });
    },
  };
}
