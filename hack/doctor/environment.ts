import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Env } from '#controller/process/env.ts';
import { loginUrl } from '#controller/store/sql.ts';
import type { LoginRole } from '#controller/store/roles.ts';

export const roleNames = ['api', 'controller', 'reader'] as const;
export type RoleName = (typeof roleNames)[number];

/** What the doctor looks at. */
export interface Subject {
  /** One line for people. */
  readonly text: string;
  readonly env: Env;
  /** An `npm start`, whose roles' environments are all in one here. */
  readonly local: boolean;
  /** Whose settings are looked at. */
  readonly roles: readonly RoleName[];
}

/** Any of these set means: this environment is a production's, not a shell beside `npm start`. */
const productionVariables = [
  'DATABASE_URL_API',
  'DATABASE_URL_PLATFORM',
  'DATABASE_URL_CONTROLLER',
  'VIBN_DB_ROLE_PASSWORD',
  'VIBN_KEY_HMAC_SECRET',
] as const;

/** The environment of a production, or else of the `npm start` whose data are in VIBN_DATA_DIR. */
export async function chooseSubject(env: Env, roles: readonly RoleName[]): Promise<Subject> {
  const dataDir = resolve(env['VIBN_DATA_DIR'] ?? '.vibn');
  const isProduction = productionVariables.some((name) => (env[name] ?? '') !== '');
  if (!isProduction && existsSync(join(dataDir, 'secrets.json'))) {
    // Loaded only here: an image for production has no local cloud.
    const { localEnv } = await import('./local.ts');
    return { text: `Looking at the npm start in ${dataDir}`, env: localEnv(env, dataDir), local: true, roles };
  }
  const why = isProduction ? '' : ` (there is no npm start in ${dataDir})`;
  return {
    text: `Looking at the environment of this process${why}, for ${roles.join(', ')}`,
    env,
    local: false,
    roles,
  };
}

/** Where the database is, as each login. Null: the settings do not say. */
export interface DatabaseUrls {
  /** The owner's. */
  readonly owner: string | null;
  readonly logins: Readonly<Record<LoginRole, string | null>>;
  /** For LISTEN and NOTIFY. */
  readonly direct: string | null;
}

const loginVariables = {
  vibn_api: 'DATABASE_URL_API',
  vibn_platform: 'DATABASE_URL_PLATFORM',
  vibn_controller: 'DATABASE_URL_CONTROLLER',
} as const;

/** The URLs that the roles would use (architecture §8, Database logins), also when other settings are wrong. */
export function databaseUrls(env: Env): DatabaseUrls {
  const read = (name: string): string | null => {
    const text = env[name]?.trim() ?? '';
    return /^postgres(ql)?:\/\//.test(text) && URL.canParse(text) ? text : null;
  };
  const owner = read('DATABASE_URL');
  const password = env['VIBN_DB_ROLE_PASSWORD'] ?? '';
  const login = (role: LoginRole): string | null => {
    if ((env[loginVariables[role]] ?? '') !== '') return read(loginVariables[role]);
    return owner === null || password === '' ? null : loginUrl(owner, role, password);
  };
  const logins = {
    vibn_api: login('vibn_api'),
    vibn_platform: login('vibn_platform'),
    vibn_controller: login('vibn_controller'),
  };
  return { owner, logins, direct: read('DATABASE_URL_DIRECT') ?? logins.vibn_controller ?? logins.vibn_api };
}

/** The logins that these roles use. */
export function loginsOf(roles: readonly RoleName[]): readonly LoginRole[] {
  const ofApi: readonly LoginRole[] = roles.includes('api') ? ['vibn_api', 'vibn_platform'] : [];
  return roles.some((role) => role !== 'api') ? [...ofApi, 'vibn_controller'] : ofApi;
}
