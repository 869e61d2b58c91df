import { ProviderError } from '#controller/contract.ts';
import type { Clock } from '#controller/clock.ts';
import type { Logger } from '#controller/log.ts';
import type { GatewayOptions } from '#controller/options.ts';
import type { ProviderReport, ProviderStore } from '#controller/store/provider-store.ts';
import type { AccountStates } from './account-state.ts';
import { wakeRate } from './budgets.ts';
import { DeadlineExceeded } from './errors.ts';
import type { AccountName } from './tokens.ts';

/**
 * What the end of a call says about its provider account.
 *
 * Invariants
 * B1  The count of consecutive failures and the breaker live in the store, so that all replicas act on the same facts.
 * B2  A success is reported only where it changes something (failures counted, or open): else each call would write one hot row.
 * B3  An answer that refuses the request proves that the provider is up; it closes nothing that was opened over a credential.
 * B4  Unavailability counts only if nothing succeeded here since the call began: one row in a hundred that hangs, of calls that end
 *     together, is not a provider that is down.
 * B5  A report that fails never changes the outcome of the call.
 */
export interface Breaker {
  /** Takes note of how a call ended; a 429 holds the account for all replicas. Never rejects. */
  ended(name: AccountName, call: EndedCall): Promise<void>;
}

export interface EndedCall {
  /** null: it succeeded. */
  readonly failure: { readonly error: unknown } | null;
  /** Monotonic ms. */
  readonly startedAt: number;
}

export interface BreakerInput {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly providers: Pick<ProviderStore, 'report' | 'block'>;
  readonly states: AccountStates;
  readonly options: GatewayOptions;
  readonly log: Logger;
  /** A report of this process closed the breaker. */
  readonly onClosed: (name: AccountName) => void;
}

/** What a failure says about the account; null: nothing. `answered`: it is up, whatever it said (B3). Pure. */
export function verdictOf(error: unknown): 'unavailable' | 'credential' | 'throttled' | 'answered' | null {
  if (error instanceof DeadlineExceeded) return 'unavailable';
  if (!(error instanceof ProviderError)) return null;
  switch (error.detail.verdict) {
    case 'unavailable':
    case 'credential':
    case 'throttled':
      return error.detail.verdict;
    case 'rejected':
      return 'answered';
    case 'retryable':
      return null;
  }
}

/** How long a provider's own 429 holds the account, in ms: its Retry-After within reason. Pure. */
export function holdMs(error: unknown, options: GatewayOptions): number {
  const asked = error instanceof ProviderError ? error.detail.retryAfterMs : undefined;
  return Math.min(Math.max(asked ?? options.blockDefaultMs, 1), options.blockMaxMs);
}

export function createBreaker({ clock, providers, states, options, log, onClosed }: BreakerInput): Breaker {
  /** Monotonic ms of the last success here, by account. */
  const succeededAt = new Map<string, number>();
  const keyOf = ({ provider, account }: AccountName): string => `${provider}/${account}`;

  const report = async (name: AccountName, outcome: ProviderReport['outcome']): Promise<void> => {
    const opensAt = outcome === 'credential' ? options.opensAtCredential : options.opensAtUnavailable;
    const { row, opened, closed } = await providers.report({
      ...name,
      outcome,
      opensAt,
      wakePerSecond: wakeRate(name.provider, options),
    });
    states.remember(row);
    if (opened) log.warn({ ...name, cause: row.cause, failures: row.failures }, 'Breaker opened');
    if (!closed) return;
    log.info({ ...name }, 'Breaker closed');
    onClosed(name);
  };

  const succeeded = async (name: AccountName, proof: 'ok' | 'answered'): Promise<void> => {
    const row = states.row(name);
    if (row === undefined || (row.breaker === 'closed' && row.failures === 0)) return;
    if (proof === 'answered' && row.cause === 'credential') return;
    await report(name, 'ok');
  };

  const hold = async (name: AccountName, error: unknown): Promise<void> => {
    const forMs = holdMs(error, options);
    const heldForMs = states.state(name).blockedForMs;
    states.hold(name, forMs);
    // Calls that were under way together are refused together: the first one's hold is theirs too.
    if (heldForMs > forMs / 2) return;
    log.warn({ ...name, forMs }, 'Provider account is held: the provider limits the rate');
    await providers.block({ ...name, forMs });
  };

  const note = async (name: AccountName, { failure, startedAt }: EndedCall): Promise<void> => {
    if (failure === null) {
      succeededAt.set(keyOf(name), clock.monotonic());
      return succeeded(name, 'ok');
    }
    const verdict = verdictOf(failure.error);
    if (verdict === null) return;
    if (verdict === 'answered') return succeeded(name, 'answered');
    if (verdict === 'throttled') return hold(name, failure.error);
    if (verdict === 'unavailable' && (succeededAt.get(keyOf(name)) ?? -Infinity) > startedAt) return;
    await report(name, verdict);
  };

  return {
    async ended(name, call) {
      await note(name, call).catch((error: unknown) => log.warn({ error, ...name }, 'Provider state was not reported'));
    },
  };
}
