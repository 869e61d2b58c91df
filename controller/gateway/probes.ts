import type { Clock, Rng } from '#controller/clock.ts';
import { jittered } from '#controller/clock.ts';
import type { Metrics } from '#controller/metrics.ts';
import type { GatewayOptions } from '#controller/options.ts';
import type { ProviderStore } from '#controller/store/provider-store.ts';
import type { ProviderRow } from '#controller/store/rows.ts';
import type { AccountStates } from './account-state.ts';
import type { GatewayHandlers } from './types.ts';

/** Lets one listener of each open breaker try, now and then: every 5 s, or 30 s where a credential was refused, per replica. */
export interface Probes {
  /** Claims a probe for each open account whose time has come and hands it to the engine. */
  look(handlers: GatewayHandlers): Promise<void>;
}

export interface ProbesInput {
  readonly providers: Pick<ProviderStore, 'claimProbe'>;
  readonly states: Pick<AccountStates, 'open'>;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly options: GatewayOptions;
  readonly metrics: Metrics;
}

export function createProbes({ providers, states, clock, rng, options, metrics }: ProbesInput): Probes {
  /** Monotonic ms of the next probe, by account. */
  const nextAt = new Map<string, number>();

  const waitMs = (row: ProviderRow): number => {
    const everyMs = row.cause === 'credential' ? options.probeCredentialEveryMs : options.probeEveryMs;
    // Later only, never sooner: replicas drift apart and none exceeds its rate.
    return everyMs + jittered(everyMs * 0.05, 1, rng.next());
  };

  const probe = async ({ provider, account }: ProviderRow, handlers: GatewayHandlers): Promise<void> => {
    const claimSentAt = clock.monotonic();
    const { holder, leaseMs, kinds } = handlers;
    const claim = await providers.claimProbe({ provider, account, holder, leaseMs, kinds });
    if (claim === null) return;
    metrics.probes.inc({ provider, account });
    handlers.onProbe(claim, claimSentAt);
  };

  return {
    async look(handlers) {
      const open = states.open();
      const keys = new Set(open.map(keyOf));
      for (const key of nextAt.keys()) if (!keys.has(key)) nextAt.delete(key);
      for (const row of open) {
        const due = nextAt.get(keyOf(row));
        const now = clock.monotonic();
        if (due !== undefined && now < due) continue;
        nextAt.set(keyOf(row), now + waitMs(row));
        // A breaker that was just seen open gets its first probe one interval later.
        if (due !== undefined) await probe(row, handlers);
      }
    },
  };
}

function keyOf(row: ProviderRow): string {
  return `${row.provider}/${row.account}`;
}
