import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Env } from '#controller/process/env.ts';
import { loginUrl } from '#controller/store/sql.ts';
import { PORT_OFFSETS } from '#hack/cloud/server.ts';
import { localProject, signerEmail } from '#hack/up/identity.ts';
import { readSettings } from '#hack/up/settings.ts';
import type { UpSecrets } from '#hack/up/secrets.ts';

/**
 * The environment of the roles under `npm start`, all in one, from its data directory and the ports of its settings. Reads, and makes
 * nothing. Throws if the settings are wrong.
 */
export function localEnv(env: Env, dataDir: string): Env {
  const settings = readSettings(env);
  if ('problems' in settings) throw new Error(settings.problems.join('\n'));
  const secrets = JSON.parse(readFileSync(join(dataDir, 'secrets.json'), 'utf8')) as UpSecrets;
  const owner =
    settings.databaseUrl ?? `postgres://postgres:${secrets.postgresPassword}@127.0.0.1:${settings.pgPort}/vibn`;
  const cloud = `http://127.0.0.1:${settings.cloudPort + PORT_OFFSETS.gcs}`;
  const reader = readerUrl(dataDir);
  return {
    ...env,
    DATABASE_URL: owner,
    DATABASE_URL_API: loginUrl(owner, 'vibn_api', secrets.rolePasswords.vibn_api),
    DATABASE_URL_PLATFORM: loginUrl(owner, 'vibn_platform', secrets.rolePasswords.vibn_platform),
    DATABASE_URL_CONTROLLER: loginUrl(owner, 'vibn_controller', secrets.rolePasswords.vibn_controller),
    VIBN_URL: `http://127.0.0.1:${settings.apiPort}`,
    VIBN_KEY_HMAC_SECRET: secrets.keyHmacSecret,
    VIBN_KEY_ENV: 'local',
    VIBN_INTERNAL_TOKEN: secrets.internalToken,
    VIBN_SECRETS_KEY: secrets.secretsKey,
    VIBN_SIGNING_EMAIL: signerEmail,
    VIBN_SIGNING_KEY_FILE: join(dataDir, 'signing-key.pem'),
    VIBN_GCS_ENDPOINT: env['VIBN_GCS_ENDPOINT'] ?? cloud,
    VIBN_GCP_PROJECT: env['VIBN_GCP_PROJECT'] ?? localProject,
    ...(reader === null ? {} : { VIBN_READER_URL: reader }),
  };
}

/** The reader listens on any free port: its log says which. Null: it never listened. */
function readerUrl(dataDir: string): string | null {
  const file = join(dataDir, 'logs', 'reader.log');
  if (!existsSync(file)) return null;
  const urls = readFileSync(file, 'utf8').matchAll(/"url":"(http:\/\/127\.0\.0\.1:\d{1,5})"/g);
  return [...urls].at(-1)?.[1] ?? null;
}
