import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { roleFlags, scriptFlags } from './role-process.ts';

const root = join(import.meta.dirname, '..');

test('the API has flags of its own, wherever its script is named from', () => {
  for (const script of ['api/main.ts', join(root, 'api/main.ts')])
    expect(scriptFlags(script)).toEqual(roleFlags('api'));
  for (const script of ['controller/main.ts', join(root, 'controller/reader.main.ts')])
    expect(scriptFlags(script)).toEqual(roleFlags('other'));
});

test('the image starts each role with them', () => {
  const image = readFileSync(join(root, 'Dockerfile'), 'utf8');
  const [entry, command] = ['ENTRYPOINT', 'CMD'].map(
    (name) => JSON.parse(new RegExp(`^${name} (.*)$`, 'm').exec(image)?.[1] ?? '[]') as string[],
  );
  expect([...(entry ?? []), ...(command ?? [])]).toEqual(['node', ...roleFlags('api'), 'api/main.ts']);
  expect(entry).toEqual(['node', ...roleFlags('other')]);
});
