import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClient } from '#api/client.ts';
import type { VibnClient } from '#api/client.ts';
import { CliError, exitCodes } from './exit.ts';

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Connects as `VIBN_URL` and `VIBN_API_KEY` say; where unset, to the `npm start` of this machine: its port and its admin key.
 * Throws a CliError that names what to set.
 */
export function connectFrom(env: Env): VibnClient {
  const url = env['VIBN_URL'] ?? `http://127.0.0.1:${env['VIBN_API_PORT'] ?? '4400'}`;
  return createClient({ url, apiKey: env['VIBN_API_KEY'] ?? localKey(env) });
}

function localKey(env: Env): string {
  const file = join(env['VIBN_DATA_DIR'] ?? '.vibn', 'admin.key');
  if (existsSync(file)) return readFileSync(file, 'utf8').trim();
  throw new CliError(
    `No API key: set VIBN_API_KEY (and VIBN_URL), or start the operator here with "npm start", which writes ${file}.`,
    exitCodes.usage,
  );
}
