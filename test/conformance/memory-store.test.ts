import { storeContract } from '#test/conformance/store-contract/store-contract.ts';
import { createMemoryDatabase } from '#test/simulation/memory-store/database.ts';
import { createMemoryStores } from '#test/simulation/memory-store/stores.ts';

storeContract('memory', async () => {
  let now = Date.UTC(2026, 10, 20, 8);
  const db = createMemoryDatabase({ now: () => now });
  return {
    ...createMemoryStores(db),
    elapse: async (ms) => {
      now += ms;
    },
    close: async () => undefined,
  };
});
