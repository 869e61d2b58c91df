import { expect, test } from 'vitest';
import { migrate, readMigrations } from '#controller/store/migrate.ts';
import { createDatabase } from '#test/support/postgres.ts';

test('a fresh database gets every file once, and a repeated run has nothing to do', async () => {
  await using db = await createDatabase({ migrated: false });
  const files = await readMigrations('migrations');
  expect(await migrate({ url: db.ownerUrl })).toEqual(files.map((file) => file.name));
  expect(await migrate({ url: db.ownerUrl })).toEqual([]);
});
