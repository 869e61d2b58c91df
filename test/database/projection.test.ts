import fc from 'fast-check';
import '#test/support/seeds.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSqlResourceStore } from '#controller/store/sql-resource-store.ts';
import type { Condition } from '#resources/condition.ts';
import { projectConditions } from '#resources/conditions.ts';
import { shardOf } from '#resources/shard.ts';
import { createDatabase, type TestDatabase } from '#test/support/postgres.ts';
import { bucketKey, insertOf, mutationOf } from '#test/support/rows.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await createDatabase();
});
afterAll(() => db[Symbol.asyncDispose]());

const types = ['Ready', 'Reconciling', 'Stalled', 'InSync', 'Created'] as const;
const statuses = ['True', 'False', 'Unknown'] as const;
const reasons = ['Available', 'NotYetReconciled', 'BackingOff', 'SpecInvalid'] as const;

const condition = fc
  .record({
    status: fc.constantFrom(...statuses),
    reason: fc.constantFrom(...reasons),
    type: fc.constantFrom(...types),
  })
  .map((fields): Condition => {
    const time = '2026-11-20T00:00:00.000Z';
    const base = { message: 'm', observedGeneration: 1, lastTransitionTime: time, lastChangeTime: time } as const;
    return { ...base, class: 'none', actor: 'system', ...fields };
  });
const stored = fc.record({
  generation: fc.integer({ min: 1, max: 2 }),
  observed: fc.integer({ min: 0, max: 1 }),
  conditions: fc.uniqueArray(condition, { selector: (one) => one.type, maxLength: 5 }),
});

test('a selection by condition answers exactly the rows that show it', async () => {
  const pools = { api: db.sql('vibn_api'), platform: db.sql('vibn_platform'), signals: { signal: () => undefined } };
  const store = createSqlResourceStore(pools);
  const scope = { workspace: 'acme' } as const;
  const rows = fc.sample(stored, { numRuns: 300, seed: 20_261_120 });
  for (let at = 0; at < rows.length; at += 100) {
    const writes = rows.slice(at, at + 100).map((_, index) => insertOf(bucketKey(`row${at + index}`)));
    await store.mutate(mutationOf(scope, () => writes));
  }
  for (const [index, row] of rows.entries()) {
    await db.owner`
      update resources set generation = ${row.generation}, observed_generation = ${row.observed},
        conditions = ${JSON.stringify(row.conditions)}::text::jsonb where name = ${`row${index}`} and shard = ${shardOf('acme')}`;
  }
  const { items } = await store.list(scope, { workspace: 'acme', limit: 500 });
  const shown = items.map((view) => ({ name: view.row.name, conditions: projectConditions(view) }));

  let found = 0;
  for (const type of types) {
    for (const status of [undefined, ...statuses]) {
      for (const reason of [undefined, ...reasons]) {
        const wanted = {
          type,
          ...(status === undefined ? {} : { status }),
          ...(reason === undefined ? {} : { reason }),
        };
        const selected = await store.list(scope, { workspace: 'acme', limit: 500, condition: wanted });
        const expected = shown.filter(({ conditions }) =>
          conditions.some(
            (one) =>
              one.type === type &&
              (status === undefined || one.status === status) &&
              (reason === undefined || one.reason === reason),
          ),
        );
        const names = selected.items.map((view) => view.row.name);
        expect({ wanted, names }).toEqual({ wanted, names: expected.map((one) => one.name) });
        found += expected.length;
      }
    }
  }
  expect(found).toBeGreaterThan(1_000);
});

test('a selection by labels needs all of them', async () => {
  const pools = { api: db.sql('vibn_api'), platform: db.sql('vibn_platform'), signals: { signal: () => undefined } };
  const store = createSqlResourceStore(pools);
  const scope = { workspace: 'beta1' } as const;
  const labels: Record<string, string>[] = [{ team: 'web', tier: 'one' }, { team: 'web' }, { tier: 'one' }, {}];
  const writes = labels.map((one, index) => insertOf(bucketKey(`l${index}`, 'beta1'), { labels: one }));
  await store.mutate(mutationOf(scope, () => writes, { workspace: 'beta1' }));
  const names = async (wanted: Record<string, string>): Promise<string[]> =>
    (await store.list(scope, { workspace: 'beta1', limit: 9, labels: wanted })).items.map((view) => view.row.name);
  expect(await names({ team: 'web', tier: 'one' })).toEqual(['l0']);
  expect(await names({ team: 'web' })).toEqual(['l0', 'l1']);
  expect(await names({})).toEqual(['l0', 'l1', 'l2', 'l3']);
  expect(await names({ team: 'we' })).toEqual([]);
});
