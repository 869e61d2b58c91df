/**
 * `npm start`: the whole operator on one machine (architecture §8, whose contract scripts rely on). A supervisor with the children
 * postgres, cloud, api, controller and reader; their pids in `$VIBN_DATA_DIR/run/`, their output in `$VIBN_DATA_DIR/logs/`.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock, systemRng } from '#controller/clock.ts';
import { connect } from '#controller/store/sql.ts';
import { PORT_OFFSETS } from '#hack/cloud/server.ts';
import { keepRunning, removePid, writePid } from './up/child.ts';
import type { KeptChild } from './up/child.ts';
import { openDatabase, roleUrl } from './up/database.ts';
import type { UpDatabase } from './up/database.ts';
import { runDemo } from './up/demo.ts';
import { ensureAdminKey, localProject, registerSigner, signerEmail } from './up/identity.ts';
import { endLeftovers } from './up/leftovers.ts';
import { loadSecrets, loadSigningKey } from './up/secrets.ts';
import type { UpSecrets } from './up/secrets.ts';
import { freePort, readSettings, takenPorts } from './up/settings.ts';
import type { NeededPort, UpSettings } from './up/settings.ts';

const root = join(import.meta.dirname, '..');
/** Everything is gone within 15 s of a signal: roles first, then what they stand on. */
const roleStopMs = 11_000;
const cloudStopMs = 2_000;
const readyPatienceMs = 60_000;

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const warn = (line: string): void => void process.stderr.write(`${line}\n`);

/** What runs, in the order it was started; stopped in reverse, roles at once. */
interface Running {
  readonly children: KeptChild[];
  readonly stopping: AbortController;
}

async function main(): Promise<void> {
  const settings = readSettings(process.env);
  if ('problems' in settings) return refuse(settings.problems);
  for (const folder of ['run', 'logs', 'cloud', 'node-cache'])
    mkdirSync(join(settings.dataDir, folder), { recursive: true });
  const leftover = await endLeftovers(settings.dataDir);
  if (leftover !== null) return refuse([leftover]);
  const problems = await takenPorts(portsOf(settings));
  if (problems.length > 0) return refuse(problems);
  const running: Running = { children: [], stopping: new AbortController() };
  const end = (): void => void stop(settings, running, 0);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, end);
  // Nobody reads us any more (`npm start | head`): to die of it would leave the children behind.
  for (const output of [process.stdout, process.stderr]) output.on('error', end);
  writePid(settings.dataDir, 'supervisor', process.pid);
  try {
    await start(settings, running);
  } catch (error) {
    if (running.stopping.signal.aborted) return;
    warn(error instanceof Error ? error.message : String(error));
    await stop(settings, running, 1);
  }
}

function refuse(problems: readonly string[]): void {
  warn(problems.join('\n'));
  process.exitCode = 1;
}

function portsOf(settings: UpSettings): NeededPort[] {
  const cloud = Object.entries(PORT_OFFSETS).map(([name, offset]) => ({
    port: settings.cloudPort + offset,
    variable: 'VIBN_CLOUD_PORT',
    what: `the local cloud's ${name}`,
  }));
  return [
    { port: settings.apiPort, variable: 'VIBN_API_PORT', what: 'the API' },
    { port: settings.cloudPort, variable: 'VIBN_CLOUD_PORT', what: "the local cloud's control" },
    ...cloud,
    ...(settings.databaseUrl === null
      ? [{ port: settings.pgPort, variable: 'VIBN_PG_PORT', what: 'the embedded Postgres' }]
      : []),
  ];
}

async function start(settings: UpSettings, running: Running): Promise<void> {
  const { dataDir } = settings;
  const secrets = loadSecrets(dataDir);
  const signing = loadSigningKey(dataDir);
  const run = (role: string, script: string, env: Record<string, string>): void => {
    if (running.stopping.signal.aborted) return;
    const child = keepRunning({
      role,
      script: join(root, script),
      dataDir,
      onDeath: warn,
      env: { ...commonEnv(settings), ...env },
    });
    running.children.push(child);
  };
  run('cloud', 'hack/cloud/main.ts', { VIBN_CLOUD_PORT: String(settings.cloudPort) });
  const database = await openDatabase(settings, secrets, warn);
  if (database.child !== null) running.children.unshift(database.child);
  const wiring = await wire(settings, { database, secrets, signingFile: signing.file });
  await prepareKeys(settings, { database, secrets });
  run('api', 'api/main.ts', wiring.api);
  run('controller', 'controller/main.ts', wiring.controller);
  const cloud = await cloudIndex(settings, running.stopping.signal);
  await registerSigner(cloud['iam'] ?? '', signing.publicKeyPem);
  run('reader', 'controller/reader.main.ts', wiring.reader);
  const url = `http://127.0.0.1:${settings.apiPort}`;
  await untilOk(`${url}/readyz`, running.stopping.signal);
  print(`ready ${url}`);
  if (settings.demo) await demo(settings, { url, gcs: cloud['gcs'] ?? '', stopped: running.stopping.signal });
}

function commonEnv(settings: UpSettings): Record<string, string> {
  return {
    VIBN_DATA_DIR: settings.dataDir,
    // Compiled and type-stripped modules are kept: later starts are faster.
    NODE_COMPILE_CACHE: join(settings.dataDir, 'node-cache'),
    // The storage SDK takes a proxy even for loopback unless it is told not to.
    NO_PROXY: ['127.0.0.1', 'localhost', process.env['NO_PROXY'] ?? ''].filter(Boolean).join(','),
  };
}

interface Wiring {
  readonly database: UpDatabase;
  readonly secrets: UpSecrets;
  readonly signingFile: string;
}

/** The environment of each role: its own database login and only the secrets it may hold. */
async function wire(settings: UpSettings, { database, secrets, signingFile }: Wiring) {
  const [readerPort, controllerPort] = [await freePort(), await freePort()];
  const local = (key: keyof typeof PORT_OFFSETS): string =>
    `http://127.0.0.1:${settings.cloudPort + PORT_OFFSETS[key]}`;
  const endpoints = {
    VIBN_GCS_ENDPOINT: process.env['VIBN_GCS_ENDPOINT'] ?? local('gcs'),
    VIBN_IAM_ENDPOINT: process.env['VIBN_IAM_ENDPOINT'] ?? local('iam'),
    VIBN_GCP_PROJECT: process.env['VIBN_GCP_PROJECT'] ?? localProject,
    // Just below what the local cloud grants (0.5/s, burst 10), so that a first session of a few buckets does not wait.
    VIBN_RATE_GCS_BUCKETS: process.env['VIBN_RATE_GCS_BUCKETS'] ?? '0.48/9',
  };
  const controllerUrl = roleUrl(database, 'vibn_controller', secrets);
  const shared = { VIBN_INTERNAL_TOKEN: secrets.internalToken };
  return {
    api: {
      ...shared,
      VIBN_API_PORT: String(settings.apiPort),
      VIBN_READER_URL: `http://127.0.0.1:${readerPort}`,
      VIBN_KEY_HMAC_SECRET: secrets.keyHmacSecret,
      VIBN_KEY_ENV: 'local',
      DATABASE_URL_API: roleUrl(database, 'vibn_api', secrets),
      DATABASE_URL_PLATFORM: roleUrl(database, 'vibn_platform', secrets),
    },
    controller: {
      ...endpoints,
      VIBN_CONTROLLER_PORT: String(controllerPort),
      VIBN_SECRETS_KEY: secrets.secretsKey,
      DATABASE_URL_CONTROLLER: controllerUrl,
    },
    reader: {
      ...shared,
      ...endpoints,
      VIBN_READER_PORT: String(readerPort),
      VIBN_SECRETS_KEY: secrets.secretsKey,
      VIBN_SIGNING_EMAIL: signerEmail,
      VIBN_SIGNING_KEY_FILE: signingFile,
      DATABASE_URL_CONTROLLER: controllerUrl,
    },
  };
}

async function prepareKeys(
  settings: UpSettings,
  { database, secrets }: Pick<Wiring, 'database' | 'secrets'>,
): Promise<void> {
  const platform = connect({
    url: roleUrl(database, 'vibn_platform', secrets),
    role: 'vibn_platform',
    max: 1,
    clock: systemClock,
    rng: systemRng,
  });
  try {
    await ensureAdminKey(platform, settings.dataDir, secrets.keyHmacSecret);
  } finally {
    await platform.end();
  }
}

async function cloudIndex(settings: UpSettings, stopped: AbortSignal): Promise<Record<string, string>> {
  const response = await untilOk(`http://127.0.0.1:${settings.cloudPort}/`, stopped);
  return (await response.json()) as Record<string, string>;
}

/** Asks until the answer is 2xx. Throws after a minute, or when we are told to stop. */
async function untilOk(url: string, stopped: AbortSignal): Promise<Response> {
  const deadline = performance.now() + readyPatienceMs;
  while (performance.now() < deadline && !stopped.aborted) {
    const response = await fetch(url).catch(() => null);
    if (response?.ok === true) return response;
    await systemClock.sleep(25, stopped);
  }
  throw new Error(`${url} did not answer within ${readyPatienceMs / 1000} s; see the logs directory.`);
}

async function demo(settings: UpSettings, at: { url: string; gcs: string; stopped: AbortSignal }): Promise<void> {
  const key = readFileSync(join(settings.dataDir, 'admin.key'), 'utf8').trim();
  try {
    await runDemo({ ...at, key, dataDir: settings.dataDir, print });
  } catch (error) {
    if (!at.stopped.aborted)
      warn(`The example could not be declared: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function stop(settings: UpSettings, running: Running, code: number): Promise<void> {
  if (running.stopping.signal.aborted) return;
  running.stopping.abort();
  const roles = running.children.filter((child) => !['postgres', 'cloud'].includes(child.role));
  await Promise.all(roles.map((child) => child.stop(roleStopMs)));
  await Promise.all(running.children.filter((child) => child.role === 'cloud').map((child) => child.stop(cloudStopMs)));
  await Promise.all(
    running.children.filter((child) => child.role === 'postgres').map((child) => child.stop(cloudStopMs)),
  );
  removePid(settings.dataDir, 'supervisor');
  process.exit(code);
}

await main();
