import { afterAll, beforeAll } from 'vitest';
import type { ResourceStore } from '#controller/store/resource-store.ts';
import { storeContract } from '#test/conformance/store-contract/store-contract.ts';
import { elapse } from '#test/support/elapse.ts';
import { createSqlStores, type SqlStores } from '#test/support/stores.ts';

// The SQL stores keep the same contract as the ones in memory (test/conformance/store-contract), each case on empty tables.

let stores: SqlStores;

beforeAll(async () => {
  stores = await createSqlStores();
});
afterAll(() => stores[Symbol.asyncDispose]());

storeContract('sql', async () => {
  await stores.clear();
  const { engine, providers, replays } = stores;
  return {
    engine,
    resources: withOwners(stores),
    providers,
    replays,
    elapse: (ms) => elapse(stores.db.owner, ms),
    close: async () => undefined,
  };
});

/** The contract declares owned rows through `mutate`; the API's role has no grant to name an owner, so the test does it afterwards. */
function withOwners({ resources, db }: SqlStores): ResourceStore {
  return {
    ...resources,
    async mutate(input) {
      const outcome = await resources.mutate(input);
      for (const write of outcome.writes) {
        if (write.op !== 'insert' || write.owner === null) continue;
        await db.owner`update resources set owner_uid = ${write.owner.uid}, slot = ${write.owner.slot} where uid = ${write.uid}`;
      }
      return outcome;
    },
  };
}
