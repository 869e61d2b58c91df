import { describe } from 'vitest';
import { claimContract } from './claims.ts';
import { deletionContract } from './deletion.ts';
import type { MakeStores } from './fixture.ts';
import { intentContract } from './intents.ts';
import { providerContract } from './providers.ts';
import { replayContract } from './replays.ts';
import { resourceContract } from './resources.ts';
import { settleContract } from './settles.ts';
import { wakeContract } from './wakes.ts';

/**
 * The contract of the stores (engine-store.ts E1–E6, resource-store.ts R1–R3, provider-store.ts P1–P2), as cases of the calling test
 * file. `makeStores` is called before each case and must answer empty stores; see StoreUnderTest for `elapse`.
 */
export function storeContract(name: string, makeStores: MakeStores): void {
  const parts = {
    claims: claimContract,
    settles: settleContract,
    wakes: wakeContract,
    intents: intentContract,
    deletion: deletionContract,
    resources: resourceContract,
    providers: providerContract,
    replays: replayContract,
  };
  for (const [part, contract] of Object.entries(parts)) {
    describe(`${name}: ${part}`, () => {
      contract(makeStores);
    });
  }
}
