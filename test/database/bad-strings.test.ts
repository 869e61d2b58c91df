import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { isDataError } from '#controller/store/sql-errors.ts';
import type { Settle } from '#controller/store/rows.ts';
import { safeJson } from '#resources/text.ts';
import {
  claimAll,
  insertOf,
  read,
  ready,
  settleOf,
  shard,
  statusOf,
  write,
} from '#test/conformance/store-contract/fixture.ts';
import { createSqlStores, type SqlStores } from '#test/support/stores.ts';

// Strings from providers and tenants are made well-formed at the doors (resources/text.ts). One that slipped through costs its own row.

let stores: SqlStores;
beforeAll(async () => {
  stores = await createSqlStores();
});
afterAll(() => stores[Symbol.asyncDispose]());
beforeEach(() => stores.clear());

const bad = {
  'U+0000': 'nul \u0000 here',
  'a lone high surrogate': 'half \ud83d',
  'a lone low surrogate': '\udc00 half',
};

/** A batch of eight claimed rows, of which the fourth carries `text` wherever a pass can put one. */
async function batchWith(text: string): Promise<readonly Settle[]> {
  await write(
    stores,
    Array.from({ length: 8 }, (_, n) => insertOf(`row-${n}`)),
  );
  const journal = { observedDigest: '', plan: null, planDigest: '', calls: [], traceId: null };
  return (await claimAll(stores)).map((one, n) => {
    const shown = n === 3 ? text : 'fine';
    const pass = {
      generation: 1,
      trigger: 'spec',
      observed: { body: shown },
      outcome: 'acted',
      durationMs: 1,
      ...journal,
    };
    const conditions = [ready('False', 'ProviderRejected', shown)];
    return settleOf(one, { status: statusOf({ status: { [shown]: shown }, conditions }), pass });
  });
}

/** What the engine does with a batch that fails on its data: halves it until the culprit is alone. */
async function bisected(settles: readonly Settle[]): Promise<readonly Settle[]> {
  try {
    await stores.engine.settle(shard, settles);
    return [];
  } catch (error) {
    if (!isDataError(error)) throw error;
    if (settles.length === 1) return settles;
    const half = Math.ceil(settles.length / 2);
    return [...(await bisected(settles.slice(0, half))), ...(await bisected(settles.slice(half)))];
  }
}

describe.for(Object.entries(bad))('a string with %s', ([, text]) => {
  test('made well-formed at the door is stored with all the others', async () => {
    const settles = await batchWith(text);
    const results = await stores.engine.settle(
      shard,
      settles.map((one) => safeJson(one)),
    );
    expect([...results.values()]).toEqual(settles.map(() => 'settled'));
    const { row } = await read(stores, settles[3]?.uid ?? '');
    expect(row.conditions[0]?.message).toMatch(/�/);
  });

  test('that reached the store fails its batch as a data error and writes nothing', async () => {
    const settles = await batchWith(text);
    const failure = await stores.engine.settle(shard, settles).catch((error: unknown) => error);
    expect(isDataError(failure)).toBe(true);
    const stored = await stores.db.owner`select from resources where observed_generation > 0`;
    expect(stored).toHaveLength(0);
  });

  test('costs only its own row when the batch is bisected', async () => {
    const settles = await batchWith(text);
    const culprits = await bisected(settles);
    expect(culprits.map((one) => one.uid)).toEqual([settles[3]?.uid]);
    const stored = await stores.db.owner`select from resources where observed_generation > 0`;
    expect(stored).toHaveLength(7);
    const [culprit] = culprits;
    if (culprit === undefined) throw new Error('no culprit');
    const { pass: _pass, ...rest } = culprit;
    const fixed = { ...rest, status: statusOf({ conditions: [ready('False', 'InternalError', 'Fixed text.')] }) };
    expect((await stores.engine.settle(shard, [fixed])).get(culprit.uid)).toBe('settled');
  });
});

describe('a number that does not fit', () => {
  test('is a data error too, in the narrow statement as in the wide one', async () => {
    for (const change of [{}, { status: statusOf() }]) {
      await stores.clear();
      await write(stores, [insertOf('a')]);
      const settles = (await claimAll(stores)).map((one) => settleOf(one, { attempts: 2 ** 40, ...change }));
      expect(isDataError(await stores.engine.settle(shard, settles).catch((error: unknown) => error))).toBe(true);
    }
  });
});
