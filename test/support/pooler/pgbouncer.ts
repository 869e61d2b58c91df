/** PgBouncer, where it is installed: the same suite through the real thing. */
import { execFile, spawn } from 'node:child_process';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { loginRoles } from '#controller/store/roles.ts';
import { freePort } from '#hack/up/settings.ts';
import { addressOf } from './swapping-pooler.ts';

const run = promisify(execFile);
/** Prepared statements outlive a transaction from here on. */
const versionMin = [1, 21] as const;
/** Another binary than the one in the path. */
const binary = (): string => process.env['VIBN_PGBOUNCER'] ?? 'pgbouncer';

/** Why PgBouncer can not be had here; null: it can. */
export async function pgbouncerMissing(): Promise<string | null> {
  const printed = await run(binary(), ['--version']).catch(() => null);
  if (printed === null) return `there is no ${binary()}: apt-get install pgbouncer, or name one in VIBN_PGBOUNCER`;
  const [, version = '', major = '0', minor = '0'] = /PgBouncer ((\d+)\.(\d+)\S*)/.exec(printed.stdout) ?? [];
  if (Number(major) > versionMin[0] || Number(minor) >= versionMin[1]) return null;
  return `PgBouncer ${version} loses prepared statements between transactions, and ${versionMin.join('.')} or newer does not`;
}

export interface PgbouncerOptions {
  readonly serverUrl: string;
  /** Of the login roles. */
  readonly rolePassword: string;
}

/** Starts it before a server: transaction pooling, sessions lent in turn, never reset. */
export async function startPgbouncer(options: PgbouncerOptions): Promise<{ port: number } & AsyncDisposable> {
  const folder = await mkdtemp(path.join(tmpdir(), 'vibn-pgbouncer-'));
  const port = await freePort();
  const [config, users] = [path.join(folder, 'pgbouncer.ini'), path.join(folder, 'users.txt')];
  await writeFile(config, configOf({ ...options, listenPort: port, users }), { mode: 0o600 });
  await writeFile(users, loginRoles.map((role) => `"${role}" "${options.rolePassword}"\n`).join(''), { mode: 0o600 });
  // It does not run as root.
  const flags = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  if (flags.length > 0)
    for (const file of [folder, config, users]) await chown(file, await idOf('-u'), await idOf('-g'));
  const child = spawn(binary(), [...flags, config], { stdio: ['ignore', 'ignore', 'pipe'] });
  process.once('exit', () => child.kill('SIGKILL'));
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    let text = '';
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`PgBouncer did not start:\n${text}`)));
    child.stderr.on('data', (chunk: Buffer) => {
      text = (text + chunk.toString()).slice(-4_000);
      if (text.includes('process up')) resolve();
    });
  });
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await exited;
      await rm(folder, { recursive: true });
    },
  };
}

const idOf = async (flag: '-u' | '-g'): Promise<number> => Number((await run('id', [flag, 'nobody'])).stdout);

function configOf({ serverUrl, listenPort, users }: PgbouncerOptions & { listenPort: number; users: string }): string {
  const { host, port } = addressOf(serverUrl);
  return `[databases]
* = host=${host} port=${port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${listenPort}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${users}
pool_mode = transaction
max_prepared_statements = 200
max_client_conn = 1000
default_pool_size = 20
server_round_robin = 1
server_login_retry = 1
log_connections = 0
log_disconnections = 0
`;
}
