import type { Clock } from '#controller/clock.ts';
import type { Metrics } from '#controller/metrics.ts';
import type { GatewayOptions } from '#controller/options.ts';
import type { ProviderRow } from '#controller/store/rows.ts';
import { BreakerOpen, Frozen, Throttled } from './errors.ts';
import type { AccountName } from './tokens.ts';
import type { GatewayState } from './types.ts';

/** This process's copy of what the store says of each provider account, at most one refresh old. */
export interface AccountStates {
  remember(row: ProviderRow): void;
  row(name: AccountName): ProviderRow | undefined;
  /** Holds the account here for at least `forMs`; the store tells the other replicas. */
  hold(name: AccountName, forMs: number): void;
  state(name: AccountName): GatewayState;
  /** Throws Frozen (mutating calls only), BreakerOpen (unless a probe), Throttled. */
  check(name: AccountName, call: { readonly mutating: boolean; readonly probe: boolean }): void;
  /** Accounts that were frozen when last asked and are no longer: thawed, or the freeze has ended. */
  thawed(): readonly AccountName[];
  open(): readonly ProviderRow[];
  /** Whether a freeze or hold ends at a database time, and that time was not learnt lately. */
  wantsTime(): boolean;
  /** The database's time as it has just answered, ms. */
  learnTime(now: number): void;
}

/** The database's time is asked for again after this; until then this process's monotonic clock carries it. */
const timeAgeMaxMs = 60_000;

export interface AccountStatesInput {
  readonly clock: Clock;
  readonly options: GatewayOptions;
  readonly metrics: Metrics;
}

export function createAccountStates({ clock, options, metrics }: AccountStatesInput): AccountStates {
  const rows = new Map<string, ProviderRow>();
  const frozenBefore = new Set<string>();
  /** Monotonic ms until which this process holds an account by itself. */
  const holds = new Map<string, number>();

  /** The database's time at a monotonic time of ours: worker clocks are never compared with the database's. */
  let known: { readonly at: number; readonly now: number } | null = null;
  const databaseNow = (): number => (known === null ? clock.now() : known.now + clock.monotonic() - known.at);

  const heldFor = (name: AccountName): number => {
    const own = (holds.get(keyOf(name)) ?? 0) - clock.monotonic();
    const others = Math.min((rows.get(keyOf(name))?.blockedUntil ?? 0) - databaseNow(), options.blockMaxMs);
    return Math.ceil(Math.max(0, own, others));
  };

  const freezeOf = (row: ProviderRow | undefined): ProviderRow['frozen'] => {
    const frozen = row?.frozen ?? null;
    return frozen === null || frozen.until === null || frozen.until > databaseNow() ? frozen : null;
  };

  const state = (name: AccountName): GatewayState => {
    const row = rows.get(keyOf(name));
    const frozen = freezeOf(row);
    return {
      breaker: row?.breaker ?? 'closed',
      cause: row?.cause ?? null,
      blockedForMs: heldFor(name),
      frozen: frozen === null ? null : { by: frozen.by, why: frozen.why },
    };
  };

  return {
    state,
    remember(row) {
      rows.set(keyOf(row), row);
      if (freezeOf(row) !== null) frozenBefore.add(keyOf(row));
      metrics.breakerOpen.set({ provider: row.provider, account: row.account }, row.breaker === 'open' ? 1 : 0);
    },
    row: (name) => rows.get(keyOf(name)),
    hold(name, forMs) {
      const key = keyOf(name);
      holds.set(key, Math.max(holds.get(key) ?? 0, clock.monotonic() + forMs));
    },
    check(name, { mutating, probe }) {
      const { frozen, breaker, cause, blockedForMs } = state(name);
      if (mutating && frozen !== null) throw new Frozen(frozen.by, frozen.why);
      if (!probe && breaker === 'open') throw new BreakerOpen(name.provider, name.account, cause ?? 'unavailable');
      if (blockedForMs > 0) throw new Throttled(blockedForMs);
    },
    thawed() {
      const thawed: AccountName[] = [];
      for (const [key, row] of rows) {
        if (freezeOf(row) !== null) frozenBefore.add(key);
        else if (frozenBefore.delete(key)) thawed.push({ provider: row.provider, account: row.account });
      }
      return thawed;
    },
    open: () => [...rows.values()].filter((row) => row.breaker === 'open'),
    wantsTime() {
      const ends = [...rows.values()].some((row) => row.blockedUntil !== null || typeof row.frozen?.until === 'number');
      return ends && (known === null || clock.monotonic() - known.at >= timeAgeMaxMs);
    },
    learnTime(now) {
      known = { at: clock.monotonic(), now };
    },
  };
}

function keyOf(name: AccountName): string {
  return `${name.provider}/${name.account}`;
}
