import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { containerMissing, imageNamed } from './support/container-postgres.ts';
import { poolerMissing, poolerNamed } from './support/pooler/pooler.ts';

// What the environment may ask of the tests, and what they say where the machine does not have it.

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'vibn-settings-'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

async function program(name: string, script: string): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
  return file;
}

test('a server in a container is asked for by its version, none by nothing', () => {
  expect([undefined, '', 'container:15', 'container:17.2'].map(imageNamed)).toEqual([
    null,
    null,
    'postgres:15',
    'postgres:17.2',
  ]);
  for (const wrong of ['16', 'container:', 'container:latest', 'container:16;x']) {
    expect(() => imageNamed(wrong)).toThrow(`VIBN_TEST_POSTGRES is ${wrong}; use container:15 to container:18`);
  }
});

test('a pooler is asked for by its name, none by nothing', () => {
  expect([undefined, '', 'swap', 'pgbouncer'].map(poolerNamed)).toEqual([null, null, 'swap', 'pgbouncer']);
  expect(() => poolerNamed('pgpool')).toThrow('VIBN_TEST_POOLER is pgpool; use swap or pgbouncer');
});

test('a missing Docker is named with what it says itself', async () => {
  expect(await containerMissing(null)).toBeNull();
  vi.stubEnv('PATH', folder);
  expect(await containerMissing('postgres:16')).toContain('postgres:16 needs Docker, and there is none: spawn docker');
  await program('docker', 'echo "Cannot connect to the Docker daemon." >&2; exit 1');
  expect(await containerMissing('postgres:16')).toContain('there is none: Cannot connect to the Docker daemon.');
  await program('docker', 'echo 28.2.2');
  expect(await containerMissing('postgres:16')).toBeNull();
});

test.each([
  ['1.18.0', 'PgBouncer 1.18.0 loses prepared statements between transactions, and 1.21 or newer does not'],
  ['1.20.1', 'PgBouncer 1.20.1 loses'],
  ['1.21.0', null],
  ['1.25.2', null],
  ['2.0.0', null],
])('PgBouncer %s is refused for what it loses, or taken', async (version, says) => {
  vi.stubEnv(
    'VIBN_PGBOUNCER',
    await program('pgbouncer', `echo "PgBouncer ${version}"; echo "libevent 2.1.12-stable"`),
  );
  const missing = await poolerMissing('pgbouncer');
  if (says === null) expect(missing).toBeNull();
  else expect(missing).toContain(says);
});

test('a missing PgBouncer is said, and our own pooler is always there', async () => {
  vi.stubEnv('VIBN_PGBOUNCER', path.join(folder, 'none'));
  expect(await poolerMissing('pgbouncer')).toContain('apt-get install pgbouncer, or name one in VIBN_PGBOUNCER');
  expect(await poolerMissing('swap')).toBeNull();
  expect(await poolerMissing(null)).toBeNull();
});
