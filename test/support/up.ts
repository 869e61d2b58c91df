import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '#api/client.ts';
import type { VibnClient } from '#api/client.ts';
import { freePort } from '#hack/up/settings.ts';
import { freeCloudPort } from '#test/support/ports.ts';

/** `npm start` as a script would run it: real processes, free ports, a data directory of its own. */
export interface Up {
  readonly dataDir: string;
  readonly apiUrl: string;
  readonly cloudUrl: string;
  readonly pgPort: number;
  readonly client: VibnClient;
  /** Lines on stdout so far. */
  readonly lines: readonly string[];
  pidOf(role: string): number | null;
  adminKey(): string;
  /** Sends the signal; resolves to the exit code. */
  stop(signal?: 'SIGTERM' | 'SIGHUP'): Promise<number | null>;
  /** Closes our ends of its output; `next` makes it say something. Resolves to the exit code. */
  deafTo(next: () => void): Promise<number | null>;
  /** Starts it again on the same ports and data. */
  again(): Promise<Up>;
  [Symbol.asyncDispose](): Promise<void>;
}

interface Ports {
  readonly api: number;
  readonly cloud: number;
  readonly pg: number;
}

/** What a run of `npm start` that refused to start said. */
export interface Refusal {
  readonly code: number | null;
  readonly stderr: string;
}

const script = join(import.meta.dirname, '..', '..', 'hack', 'up.ts');

/** Runs it with this environment until it ends by itself. */
export async function refusedUp(env: Readonly<Record<string, string>>): Promise<Refusal> {
  const dataDir = mkdtempSync(join(tmpdir(), 'vibn-up-'));
  const child = run({ VIBN_DATA_DIR: dataDir, ...env });
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const code = await ended(child);
  rmSync(dataDir, { recursive: true, force: true });
  return { code, stderr };
}

/** Starts it and resolves at its ready line. `env` adds to or replaces settings. */
export async function startUp(env: Readonly<Record<string, string>> = {}): Promise<Up> {
  const ports = { api: await freePort(), cloud: await freeCloudPort(), pg: await freePort() };
  return await startOn(ports, mkdtempSync(join(tmpdir(), 'vibn-up-')), env);
}

async function startOn(ports: Ports, dataDir: string, env: Readonly<Record<string, string>>): Promise<Up> {
  const child = run({
    VIBN_DEMO: 'off',
    ...env,
    VIBN_API_PORT: String(ports.api),
    VIBN_CLOUD_PORT: String(ports.cloud),
    VIBN_PG_PORT: String(ports.pg),
    VIBN_DATA_DIR: dataDir,
  });
  const lines: string[] = [];
  const apiUrl = `http://127.0.0.1:${ports.api}`;
  await ready(child, lines, `ready ${apiUrl}`);
  const adminKey = (): string => readFileSync(join(dataDir, 'admin.key'), 'utf8').trim();
  const stop = async (signal: 'SIGTERM' | 'SIGHUP' = 'SIGTERM'): Promise<number | null> => {
    child.kill(signal);
    return await ended(child);
  };
  const deafTo = async (next: () => void): Promise<number | null> => {
    for (const output of [child.stdout, child.stderr]) output?.destroy();
    next();
    return await ended(child);
  };
  return {
    dataDir,
    apiUrl,
    cloudUrl: `http://127.0.0.1:${ports.cloud}`,
    pgPort: ports.pg,
    client: createClient({ url: apiUrl, apiKey: adminKey() }),
    lines,
    pidOf: (role) => pidIn(join(dataDir, 'run', `${role}.pid`)),
    adminKey,
    stop,
    deafTo,
    again: () => startOn(ports, dataDir, env),
    async [Symbol.asyncDispose]() {
      await stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** The pid in a file, or null: the supervisor may take it away at any moment. */
function pidIn(file: string): number | null {
  try {
    const pid = Number(readFileSync(file, 'utf8'));
    return pid > 0 ? pid : null;
  } catch {
    return null;
  }
}

function run(env: Readonly<Record<string, string>>): ChildProcess {
  const { DATABASE_URL: _owner, ...own } = process.env;
  return spawn(process.execPath, [script], { env: { ...own, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
}

function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => child.once('exit', (code) => resolve(code)));
}

function ready(child: ChildProcess, lines: string[], wanted: string): Promise<void> {
  let rest = '';
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      const parts = (rest + chunk.toString()).split('\n');
      rest = parts.pop() ?? '';
      lines.push(...parts);
      if (parts.includes(wanted)) resolve();
    });
    child.once('exit', (code) => reject(new Error(`npm start ended with ${code}:\n${stderr}`)));
  });
}

/** Resolves once `check` answers something; asks every 20 ms, at most `patienceMs`. For what no signal tells: other processes. */
export async function until<T>(check: () => T | null | Promise<T | null>, patienceMs = 30_000): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const found = await check();
    if (found !== null) return found;
    if (performance.now() > deadline) throw new Error(`Not within ${patienceMs} ms: ${check.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
