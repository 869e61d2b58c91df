import { afterAll, beforeAll } from 'vitest';
import { storeContract } from '#test/conformance/store-contract/store-contract.ts';
import { createSqlStores, type SqlStores } from '#test/support/stores.ts';

// The SQL stores keep the same contract as the ones in memory (test/conformance/store-contract), each case on empty tables.

let stores: SqlStores;

beforeAll(async () => {
  stores = await createSqlStores();
});
afterAll(() => stores[Symbol.asyncDispose]());

storeContract('sql', async () => {
  await stores.clear();
  return stores;
});
