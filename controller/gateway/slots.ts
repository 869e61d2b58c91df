import type { Rng } from '#controller/clock.ts';
import type { Logger } from '#controller/log.ts';
import { jittered } from '#controller/clock.ts';
import type { GatewayOptions } from '#controller/options.ts';
import type { ProviderStore } from '#controller/store/provider-store.ts';
import { Throttled } from './errors.ts';
import type { AccountName } from './tokens.ts';

/** Leased slots for providers that allow only a few connections from all of us together (≤ 10). */
export interface Slots {
  /** Runs `body` holding a slot, where the provider has any; given back when it ends, however it ends. Throws Throttled if all are taken. */
  hold<T>(name: AccountName, body: () => Promise<T>): Promise<T>;
}

export interface SlotsInput {
  readonly providers: Pick<ProviderStore, 'takeSlot' | 'giveSlot'>;
  readonly rng: Rng;
  readonly options: GatewayOptions;
  readonly log: Logger;
}

/** A call that found no slot is told to come back after about this. */
const busyMs = 1_000;

export function createSlots({ providers, rng, options, log }: SlotsInput): Slots {
  return {
    async hold(name, body) {
      const count = options.slotsOf[name.provider];
      if (count === undefined) return body();
      const holder = rng.uuid();
      const slot = await providers.takeSlot({ ...name, count, holder, leaseMs: options.slotLeaseMs });
      if (slot === null) throw new Throttled(jittered(busyMs, 0.5, rng.next()));
      try {
        return await body();
      } finally {
        // A slot that cannot be given back frees itself when its lease ends: the answer of the call matters more.
        await providers
          .giveSlot({ ...name, slot, holder })
          .catch((error: unknown) => log.warn({ error, ...name, slot }, 'Provider slot was not given back'));
      }
    },
  };
}
