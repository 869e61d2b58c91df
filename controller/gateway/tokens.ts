import type { Clock } from '#controller/clock.ts';
import type { GatewayOptions } from '#controller/options.ts';
import type { ProviderStore } from '#controller/store/provider-store.ts';
import type { NamedBudget } from './budgets.ts';
import { Throttled } from './errors.ts';

/**
 * Tokens of rates that all replicas share. They are leased from the store in batches, about once a second while they last.
 *
 * Invariants
 * K1  No token, no call: a call has one token of each of its budgets, or none.
 * K2  A leased token that nobody used is forgotten after `tokensExpireMs`, so that a burst never outgrows the budget by more than that.
 * K3  Refused calls are told different times, one after the other at the budget's rate, so that a backlog does not return at once.
 */
export interface Tokens {
  /** Takes one token of each budget of the account; throws Throttled. */
  take(account: AccountName, budgets: readonly NamedBudget[]): Promise<void>;
}

export interface AccountName {
  readonly provider: string;
  readonly account: string;
}

export interface TokensInput {
  readonly providers: Pick<ProviderStore, 'takeTokens'>;
  readonly clock: Clock;
  readonly options: GatewayOptions;
}

/** What this process holds of one budget. Times are monotonic ms. */
interface Stock {
  tokens: number;
  expiresAt: number;
  /** Until then the store is not asked again: it gave less than was asked. */
  dryUntil: number;
  /** Calls that asked since `windowAt`: the next lease is that large, so a busy process asks about once a second. */
  asked: number;
  askedBefore: number;
  windowAt: number;
  leasing: Promise<void> | null;
  /** The time told to the last refused call. */
  toldAt: number;
}

/** Longest time that a refused call is told to stay away. */
const tellMaxMs = 30_000;

export function createTokens({ providers, clock, options }: TokensInput): Tokens {
  const stocks = new Map<string, Stock>();

  const stockOf = (key: string): Stock => {
    const found = stocks.get(key);
    if (found !== undefined) return found;
    const now = clock.monotonic();
    const made = { tokens: 0, expiresAt: now, dryUntil: now, asked: 0, askedBefore: 0, windowAt: now, toldAt: now };
    const stock: Stock = { ...made, leasing: null };
    stocks.set(key, stock);
    return stock;
  };

  const countDemand = (stock: Stock): void => {
    const now = clock.monotonic();
    const windows = (now - stock.windowAt) / options.tokensEveryMs;
    if (windows >= 1) {
      stock.askedBefore = windows < 2 ? stock.asked : 0;
      stock.asked = 0;
      stock.windowAt = now;
    }
    stock.asked += 1;
  };

  const lease = async (name: AccountName, budget: NamedBudget, stock: Stock): Promise<void> => {
    const { ratePerSecond, burst } = budget;
    // In its first second a process asks for as many as were wanted so far, so that its leases double.
    const want = Math.min(Math.max(1, stock.asked, stock.askedBefore), Math.max(1, Math.floor(burst)));
    const sentAt = clock.monotonic();
    const got = await providers.takeTokens({ ...name, budget: budget.name, want, ratePerSecond, burst });
    stock.tokens = got;
    stock.expiresAt = clock.monotonic() + options.tokensExpireMs;
    if (got < want) stock.dryUntil = sentAt + options.tokensEveryMs;
  };

  const refusal = (budget: NamedBudget, stock: Stock): Throttled => {
    const now = clock.monotonic();
    const latest = now + tellMaxMs;
    const next = Math.max(stock.toldAt + 1_000 / budget.ratePerSecond, stock.dryUntil, now);
    stock.toldAt = Math.min(next, latest);
    return new Throttled(Math.ceil(stock.toldAt - now));
  };

  const takeOne = async (name: AccountName, budget: NamedBudget): Promise<Stock> => {
    const stock = stockOf(`${name.provider}/${name.account}/${budget.name}`);
    countDemand(stock);
    for (;;) {
      const now = clock.monotonic();
      if (now >= stock.expiresAt) stock.tokens = 0;
      if (stock.tokens >= 1) {
        stock.tokens -= 1;
        return stock;
      }
      if (stock.leasing === null) {
        if (now < stock.dryUntil) throw refusal(budget, stock);
        stock.leasing = lease(name, budget, stock).finally(() => {
          stock.leasing = null;
        });
      }
      await stock.leasing;
    }
  };

  return {
    async take(name, budgets) {
      const taken: Stock[] = [];
      try {
        for (const budget of budgets) taken.push(await takeOne(name, budget));
      } catch (error) {
        for (const stock of taken) stock.tokens += 1;
        throw error;
      }
    },
  };
}
