import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { distribute } from '#hack/citus/distribute.ts';
import { acrossShards, allStatements, type FoundStatement } from '#test/support/all-statements.ts';
import { createDatabase, onCitus, type TestDatabase } from '#test/support/postgres.ts';

// What only a real cluster can say (hack/citus/README.md): DATABASE_URL of a coordinator, or all of this is skipped.

const why = 'DATABASE_URL is no Citus coordinator: hack/citus/README.md starts one';
const statements = (await allStatements()).filter((one) => one.name !== 'sync_commit');

/** One task of one worker, with nothing carried over the coordinator: the loop, and what an agent waits for. */
const oneTask =
  `claim_rows read_rows read_key renew_leases extend_lease release_claims settle_unchanged mark_sending answer_intent
  retire_intent lock_shard take_versions read_mutation_heads read_views_by_key read_views_by_uid read_bare_by_key read_bare_by_uid read_bare_changes
  read_children read_changes list_workspace read_request count_rows`.split(/\s+/);

let db: TestDatabase;
beforeAll(async () => {
  db = await createDatabase();
});
afterAll(() => db[Symbol.asyncDispose]());

/** A value of each type, as a literal; statements name the type of each parameter. */
const samples: Readonly<Record<string, string>> = {
  smallint: '3',
  int: '5',
  bigint: '1',
  float8: '1',
  boolean: 'true',
  text: `'x'`,
  json: `'[]'`,
  timestamptz: 'statement_timestamp()',
  'text[]': `array['a', 'b']`,
  'bigint[]': 'array[1, 2]',
  'int[]': 'array[1, 2]',
};

/** The plan for the parameters at hand, as the prepared statement gets it on a cluster. */
async function planOf({ name, text }: FoundStatement, mode = 'auto'): Promise<string> {
  const types = new Map<number, string>();
  for (const [, index, type = '', json] of text.matchAll(/\$(\d+)::(\w+(?:\[\])?)(::jsonb)?/g)) {
    types.set(Number(index), json === undefined ? (types.get(Number(index)) ?? type) : 'json');
  }
  const values = [...types].toSorted(([one], [other]) => one - other).map(([, type]) => samples[type] ?? `'x'`);
  return await db.owner.begin(async (tx) => {
    await tx.unsafe(`set local plan_cache_mode = ${mode}`);
    await tx.unsafe(`prepare ${name} as ${text}`);
    const rows = await tx.unsafe(
      `explain (costs off) execute ${name}${values.length === 0 ? '' : `(${values.join(', ')})`}`,
    );
    await tx.unsafe(`deallocate ${name}`);
    return rows.map((row) => String(row['QUERY PLAN'])).join('\n');
  });
}

const taskCounts = (plan: string): readonly string[] =>
  [...plan.matchAll(/Task Count: (\d+)/g)].map(([, count = '']) => count);

describe('on a cluster', () => {
  test('every statement is planned, and what is of one shard asks one', { timeout: 120_000 }, async ({ skip }) => {
    if (!onCitus()) return skip(why);
    const wrong: string[] = [];
    for (const one of statements) {
      const counts = await planOf(one).then(taskCounts, (error: unknown) => [String(error)]);
      const across = acrossShards[one.name] !== undefined && counts.every((count) => /^\d+$/.test(count));
      if (!across && counts.some((count) => count !== '1')) wrong.push(`${one.name}: ${counts.join(' ')}`);
    }
    expect(wrong).toEqual([]);
  });

  test('the statements of the loop, and what an agent waits for, are one task each', async ({ skip }) => {
    if (!onCitus()) return skip(why);
    const cut: string[] = [];
    for (const name of oneTask) {
      const one = statements.find((statement) => statement.name === name);
      const plan = one === undefined ? 'no such statement' : await planOf(one);
      if (taskCounts(plan).join(' ') !== '1' || plan.includes('Subplan')) cut.push(`${name}: ${plan}`);
    }
    expect(cut).toEqual([]);
  });

  test('a generic plan of a join is refused, so the roles plan for their parameters: the control', async ({ skip }) => {
    if (!onCitus()) return skip(why);
    const one = statements.find((statement) => statement.name === 'read_rows');
    const planned = one === undefined ? Promise.resolve('') : planOf(one, 'force_generic_plan');
    await expect(planned).rejects.toThrow('could not create distributed plan');
    const [role] = await db.login('vibn_controller')`select current_setting('plan_cache_mode') as mode`;
    expect(role?.['mode']).toBe('auto');
  });

  test('there is nothing left to distribute', async ({ skip }) => {
    if (!onCitus()) return skip(why);
    expect(await distribute({ url: db.ownerUrl })).toEqual([]);
  });

  test.for([
    [
      'without row-level security',
      'alter table %s no force row level security',
      'alter table %s force row level security',
    ],
    ['with a policy of their own: hole', 'create policy hole on %s to vibn_api using (true)', 'drop policy hole on %s'],
  ])('shards %s are found', async ([said = '', open = '', close = ''], { skip }) => {
    if (!onCitus()) return skip(why);
    await db.owner`select run_command_on_placements('work', ${open})`;
    await expect(distribute({ url: db.ownerUrl })).rejects.toThrow(said.split(': ').at(-1));
    await db.owner`select run_command_on_placements('work', ${close})`;
  });

  test('a table without a placement is refused by name', async ({ skip }) => {
    if (!onCitus()) return skip(why);
    await db.owner`create table stray (shard smallint)`;
    await expect(distribute({ url: db.ownerUrl })).rejects.toThrow('stray');
    await db.owner`drop table stray`;
  });
});

test('a server without Citus is refused', async ({ skip }) => {
  if (onCitus()) return skip('this one has it');
  await expect(distribute({ url: db.ownerUrl })).rejects.toThrow('This server has no Citus');
});
