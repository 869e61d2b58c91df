import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CommitUnknown } from '#controller/store/sql-errors.ts';
import type { StatementText } from '#controller/store/statement.ts';
import { platformShard } from '#resources/shard.ts';
import type { StoreUnderTest } from '#test/conformance/store-contract/fixture.ts';
import { storeContract } from '#test/conformance/store-contract/store-contract.ts';
import { askedByApi, createInjector, injections } from '#test/support/injections.ts';
import type { Injector } from '#test/support/injections.ts';
import { allStatements } from '#test/support/statement-registry.ts';
import { statementProxy } from '#test/support/statement-proxy.ts';
import type { StatementProxy } from '#test/support/statement-proxy.ts';
import { createSqlStores, type SqlStores } from '#test/support/stores.ts';
import { urlThrough } from '#test/support/urls.ts';

/**
 * The contract of the stores, while the first execution of each statement in each case fails: with conflicts, with sessions that end before
 * it or after it, with no connection to be had. Statements are found by reflection, so a new one is among them by itself. Every way of
 * failing, one after the other, by command: VIBN_SQL_ERRORS=all npx vitest run --project database test/database/sql-errors.test.ts
 */
const times = process.env['VIBN_SQL_ERRORS'] === 'all' ? injections.length : 1;

/** Asked twice they do no harm, and get further than once: the next listeners, another round. The contract counts their steps. */
const movesOn = new Set(['drain_topic', 'ask_firing']);

let statements: ReadonlyMap<string, StatementText>;
let injector: Injector;
let proxy: StatementProxy;
let stores: SqlStores;
beforeAll(async () => {
  statements = await allStatements();
  injector = createInjector(statements, {
    answersMayBeLost: (name) => statements.get(name)?.repeatable === true && !movesOn.has(name),
  });
  stores = await createSqlStores({
    through: async (db) => {
      proxy = await statementProxy(db.ownerUrl);
      return (url) => urlThrough(proxy, url);
    },
  });
  proxy.decide = (name) => injector.decide(name);
});
afterAll(async () => {
  await stores[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
});

/**
 * The callers' part: what was not answered is asked again. Nothing was carried out of what is not answered here, or doing it twice is
 * harmless; what may not be is in commit-unknown.test.ts.
 */
function asking<Store extends object>(store: Store): Store {
  const again = (method: (...args: unknown[]) => Promise<unknown>) => {
    const call = async (...args: unknown[]): Promise<unknown> => {
      try {
        return await method(...args);
      } catch (error) {
        if (!(error instanceof CommitUnknown)) throw error;
        return await call(...args);
      }
    };
    return call;
  };
  const methods = Object.entries(store) as [string, (...args: unknown[]) => Promise<unknown>][];
  return Object.fromEntries(methods.map(([name, method]) => [name, again(method)])) as Store;
}

async function makeStores(): Promise<StoreUnderTest> {
  await stores.clear();
  injector.again();
  const { engine, resources, providers, replays } = stores;
  return {
    ...stores,
    engine: asking(engine),
    resources: asking(resources),
    providers: asking(providers),
    replays: asking(replays),
  };
}

for (let time = 1; time <= times; time += 1) storeContract(`each statement failing at first, ${time}`, makeStores);

describe('the statements', () => {
  test('trim dead keys, which the contract has none of', async () => {
    const { engine } = await makeStores();
    const ages = { tombstoneMs: 0, passMs: 0, topicMs: 0, doneIntentsKept: 10, batchMax: 10, deadKeyMs: 0 };
    expect(await engine.sweep(platformShard, ages)).toBe(0);
    expect(injector.suffered.get('trim_keys')?.size).toBeGreaterThan(0);
  });

  test('have each failed in some way', () => {
    const never = [...statements.keys()].filter((name) => !injector.suffered.has(name) && !askedByApi.has(name));
    expect(never).toEqual([]);
  });
});
