import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freeCloudPort } from '#test/support/ports.ts';

let dataDir = '';
const children: ChildProcess[] = [];

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'vibn-cloud-'));
});

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  rmSync(dataDir, { recursive: true, force: true });
});

interface Started {
  readonly child: ChildProcess;
  readonly gcs: string;
  readonly stderr: () => string;
}

function launch(port: number): { child: ChildProcess; stderr: () => string } {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts')], {
    env: { ...process.env, VIBN_CLOUD_PORT: String(port), VIBN_DATA_DIR: dataDir },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let text = '';
  child.stderr?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  return { child, stderr: () => text };
}

async function start(port: number): Promise<Started> {
  const launched = launch(port);
  if (launched.child.stdout === null) throw new Error('no stdout');
  const died = once(launched.child, 'close').then(() =>
    Promise.reject(new Error(`the cloud ended before it listened: ${launched.stderr()}`)),
  );
  const [line] = (await Promise.race([once(createInterface(launched.child.stdout), 'line'), died])) as [string];
  died.catch(() => undefined);
  const { gcs } = JSON.parse(line) as { gcs: string };
  return { ...launched, gcs };
}

const put = (gcs: string, name: string) =>
  fetch(`${gcs}/upload/storage/v1/b/kept/o?uploadType=media&name=${name}`, {
    method: 'POST',
    body: `content of ${name}`,
  });

// Real processes on ports that others may take, as in the project `process`: what fails twice fails.
describe('the cloud process', { retry: 1 }, () => {
  it(
    'loses nothing that it answered when it is killed in the middle of writes, and comes back on the same ports',
    { timeout: 30_000 },
    async () => {
      const port = await freeCloudPort();
      const first = await start(port);
      await fetch(`${first.gcs}/storage/v1/b?project=vibn-local`, { method: 'POST', body: '{"name":"kept"}' });
      const answered = new Set<string>();
      const writer = async (lane: number): Promise<void> => {
        for (let n = 0; ; n += 1) {
          const response = await put(first.gcs, `${lane}-${n}`);
          if (response.status === 200) answered.add(`${lane}-${n}`);
          if (answered.size === 60) first.child.kill('SIGKILL');
        }
      };
      await Promise.allSettled([0, 1, 2, 3].map(writer));
      await (first.child.signalCode === null ? once(first.child, 'exit') : undefined);
      appendFileSync(join(dataDir, 'cloud', 'journal.jsonl'), '[{"s":"gcs","t":"obj');
      const second = await start(port);
      expect(second.gcs).toBe(first.gcs);
      expect(second.stderr()).toMatch(/dropped a torn last line/);
      expect(answered.size).toBeGreaterThanOrEqual(60);
      for (const name of answered) {
        const response = await fetch(`${second.gcs}/storage/v1/b/kept/o/${name}?alt=media`);
        expect([response.status, await response.text()]).toEqual([200, `content of ${name}`]);
      }
    },
  );

  it.each(['SIGTERM', 'SIGINT'] as const)(
    '%s ends it with exit code 0 and its state on disk',
    { timeout: 30_000 },
    async (signal) => {
      const port = await freeCloudPort();
      const first = await start(port);
      await fetch(`${first.gcs}/storage/v1/b?project=vibn-local`, { method: 'POST', body: '{"name":"kept"}' });
      first.child.kill(signal);
      const [code] = await once(first.child, 'exit');
      expect(code).toBe(0);
      const second = await start(port);
      expect((await fetch(`${second.gcs}/storage/v1/b/kept`)).status).toBe(200);
    },
  );

  it('a taken port is named on stderr, with exit code 1', { timeout: 30_000 }, async () => {
    const port = await freeCloudPort();
    await start(port);
    const second = launch(port);
    const [code] = await once(second.child, 'close');
    expect(code).toBe(1);
    expect(second.stderr()).toContain(`port ${port} on 127.0.0.1 is taken`);
  });

  it('a port that is no number is refused', { timeout: 30_000 }, async () => {
    const child = launch(Number.NaN);
    const [code] = await once(child.child, 'close');
    expect(code).toBe(1);
    expect(child.stderr()).toContain('VIBN_CLOUD_PORT');
  });
});
