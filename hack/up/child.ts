import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scriptFlags } from '#hack/role-process.ts';

/** First wait before a child that died is started again; doubles up to the next figure. */
const restartFirstMs = 1_000;
const restartMaxMs = 30_000;
/** A child that lived this long was no crash loop: the wait starts over. */
const healthyMs = 1_000;

export interface ChildSpec {
  readonly role: string;
  readonly script: string;
  readonly env: Readonly<Record<string, string>>;
  readonly dataDir: string;
  /** Told when the child died and will be started again. */
  readonly onDeath: (message: string) => void;
}

/** A role that is kept running until it is stopped. */
export interface KeptChild {
  readonly role: string;
  /** SIGTERM, then SIGKILL after `patienceMs`. Resolves when it is gone; it is not started again. */
  stop(patienceMs: number): Promise<void>;
}

/** Starts a role and starts it again whenever it dies. Its pid is in `run/<role>.pid`, its output in `logs/<role>.log`. */
export function keepRunning(spec: ChildSpec): KeptChild {
  const state: { child: ChildProcess | null; timer: NodeJS.Timeout | null; stopping: boolean; waitMs: number } = {
    child: null,
    timer: null,
    stopping: false,
    waitMs: restartFirstMs,
  };
  const begin = (): void => {
    const startedAt = performance.now();
    const child = start(spec);
    state.child = child;
    child.once('exit', (code, signal) => {
      removePid(spec.dataDir, spec.role);
      if (state.stopping) return;
      if (performance.now() - startedAt >= healthyMs) state.waitMs = restartFirstMs;
      const how = signal ?? `exit code ${code}`;
      spec.onDeath(`${spec.role} died (${how}); starting it again in ${state.waitMs / 1000} s. ${lastWords(spec)}`);
      state.timer = setTimeout(begin, state.waitMs);
      state.waitMs = Math.min(state.waitMs * 2, restartMaxMs);
    });
  };
  begin();
  return {
    role: spec.role,
    stop: async (patienceMs) => {
      state.stopping = true;
      if (state.timer !== null) clearTimeout(state.timer);
      if (state.child !== null) await end(state.child, patienceMs);
    },
  };
}

function start(spec: ChildSpec): ChildProcess {
  const log = openSync(logFile(spec), 'a');
  const child = spawn(process.execPath, [...scriptFlags(spec.script), spec.script, dataMark(spec.dataDir)], {
    env: { ...inherited(), ...spec.env },
    stdio: ['ignore', log, log],
    // A group of its own: Ctrl-C reaches the supervisor alone, which stops its children in order.
    detached: true,
  });
  closeSync(log);
  if (child.pid !== undefined) writePid(spec.dataDir, spec.role, child.pid);
  return child;
}

/** What children may see of our environment: endpoints and tuning, never the owner's database. */
function inherited(): Record<string, string> {
  const entries = Object.entries(process.env).filter(([name]) => !/^DATABASE_URL|^PG/.test(name));
  return Object.fromEntries(entries.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

function end(child: ChildProcess, patienceMs: number): Promise<void> {
  return new Promise((done) => {
    if (child.exitCode !== null || child.signalCode !== null) return done();
    const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs);
    child.once('exit', () => {
      clearTimeout(timer);
      done();
    });
    child.kill('SIGTERM');
  });
}

function logFile(spec: ChildSpec): string {
  return join(spec.dataDir, 'logs', `${spec.role}.log`);
}

function lastWords(spec: ChildSpec): string {
  const tail = readFileSync(logFile(spec), 'utf8').trimEnd().split('\n').slice(-3).join('\n  ');
  return `Its last words (all in ${logFile(spec)}):\n  ${tail}`;
}

/** An argument that children ignore: it tells whose they are, should we be killed before them. */
export function dataMark(dataDir: string): string {
  return `--vibn-data=${dataDir}`;
}

/** `$VIBN_DATA_DIR/run/<role>.pid`. */
export function pidFile(dataDir: string, role: string): string {
  return join(dataDir, 'run', `${role}.pid`);
}

/** In one step: a script that reads it sees a pid or no file, never an empty one. */
export function writePid(dataDir: string, role: string, pid: number): void {
  const file = pidFile(dataDir, role);
  writeFileSync(`${file}.new`, `${pid}\n`);
  renameSync(`${file}.new`, file);
}

export function removePid(dataDir: string, role: string): void {
  rmSync(pidFile(dataDir, role), { force: true });
}
