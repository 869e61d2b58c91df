import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { scriptFlags } from '#hack/role-process.ts';

/** A Node process under test: real signals, its lines, its end. Killed when disposed of, by its pid. */
export interface Child extends AsyncDisposable {
  readonly pid: number;
  /** Lines on stdout so far. */
  readonly lines: readonly string[];
  /** What it said on stderr so far. */
  stderr(): string;
  /** Resolves to the exit code; null: by a signal. */
  readonly exited: Promise<number | null>;
  isRunning(): boolean;
  signal(name: NodeJS.Signals): void;
  /** Resolves with the first line, past or to come, that holds the text. Rejects if it ends before. */
  said(text: string): Promise<string>;
}

export interface ChildInput {
  /** From the root of the repository, or absolute. */
  readonly script: string;
  readonly env: Readonly<Record<string, string>>;
  /** Flags of Node. */
  readonly flags?: readonly string[];
  /** Root of another checkout. */
  readonly root?: string;
}

const here = join(import.meta.dirname, '..', '..', '..');

/** Starts a script with this environment and nothing of ours but PATH. */
export function startChild({ script, env, flags = [], root = here }: ChildInput): Child {
  const child = spawn(process.execPath, [...scriptFlags(script), ...flags, script], {
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '', NO_PROXY: '127.0.0.1,localhost', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  const wake = (): void => waiting.forEach((look) => look());
  let [rest, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
    wake();
  });
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  void exited.then(wake);
  return {
    pid: child.pid ?? 0,
    lines,
    stderr: () => stderr,
    exited,
    isRunning,
    signal: (name) => void child.kill(name),
    said: (text) =>
      new Promise((resolve, reject) => {
        let seen = 0;
        const look = (): void => {
          const found = lines.slice(seen).find((line) => line.includes(text));
          seen = lines.length;
          if (found === undefined && isRunning()) return;
          waiting.delete(look);
          if (found !== undefined) resolve(found);
          else reject(new Error(`${script} ended before it said "${text}":\n${lines.slice(-5).join('\n')}\n${stderr}`));
        };
        waiting.add(look);
        look();
      }),
    async [Symbol.asyncDispose]() {
      if (isRunning()) child.kill('SIGKILL');
      await exited;
    },
  };
}
