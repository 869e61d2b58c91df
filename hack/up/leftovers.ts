import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { dataMark, pidFile, removePid } from './child.ts';

/** How long a leftover child may take to end. */
const patienceMs = 8_000;

/**
 * What an earlier `npm start` on these data left running: its supervisor (then nothing may be started), or, if that was killed,
 * its children, which are ended by their pids. A pid that belongs to another program by now is left alone.
 * Resolves to a problem, or null.
 */
export async function endLeftovers(dataDir: string): Promise<string | null> {
  const folder = join(dataDir, 'run');
  if (!existsSync(folder)) return null;
  const supervisor = pidIn(pidFile(dataDir, 'supervisor'));
  if (supervisor !== null && supervisor !== process.pid && commandOf(supervisor).includes('up.ts')) {
    return `npm start (pid ${supervisor}) is running on ${dataDir} already: stop it first, or set VIBN_DATA_DIR to another directory.`;
  }
  for (const name of readdirSync(folder).filter((one) => one.endsWith('.pid'))) {
    const role = name.replace(/\.pid$/, '');
    const pid = pidIn(join(folder, name));
    if (pid !== null && isOurs(role, commandOf(pid), dataDir))
      await endProcess(pid, role === 'postgres' ? 'SIGINT' : 'SIGTERM');
    removePid(dataDir, role);
  }
  return null;
}

/** A recycled pid belongs to a program that does not carry our mark. */
function isOurs(role: string, command: string, dataDir: string): boolean {
  return role === 'postgres' ? command.includes(join(dataDir, 'postgres')) : command.includes(dataMark(dataDir));
}

function pidIn(file: string): number | null {
  if (!existsSync(file)) return null;
  const pid = Number(readFileSync(file, 'utf8').trim());
  return Number.isInteger(pid) && pid > 1 ? pid : null;
}

function commandOf(pid: number): string {
  try {
    if (existsSync('/proc/self/cmdline')) return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
    return execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
  } catch {
    return '';
  }
}

async function endProcess(pid: number, signal: NodeJS.Signals): Promise<void> {
  kill(pid, signal);
  const deadline = performance.now() + patienceMs;
  while (commandOf(pid) !== '' && performance.now() < deadline) await new Promise((done) => setTimeout(done, 50));
  kill(pid, 'SIGKILL');
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has gone by itself.
  }
}
