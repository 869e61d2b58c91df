import type { Ms } from '#resources/resource.ts';
import type { Recording } from './recording.ts';
import type { Claim, ProviderRow } from './rows.ts';

/**
 * What replicas share about providers: breakers, freezes, leased tokens, slots, sliding windows. Both stores implement it.
 * P1  No token, no call: tokens are leased from the database, about once a second per replica, and expire unused after 2 s.
 * P2  A breaker's state is per provider AND account.
 */
export interface ProviderStore {
  providers(): Promise<readonly ProviderRow[]>;
  /**
   * Records how a call ended. A failure counts towards the breaker; ok closes it, answers `closed: true` if it was open, and then asks in the
   * same transaction for `provider:<name>/<account>` to be fired.
   */
  report(
    input: ProviderReport,
  ): Promise<{ readonly row: ProviderRow; readonly opened: boolean; readonly closed: boolean }>;
  /** A 429: holds all replicas until then. */
  block(input: { provider: string; account: string; forMs: number }): Promise<void>;
  freeze(
    input: { provider: string; account: string; by: string; why: string; forMs: number | null },
    recording?: Recording,
  ): Promise<void>;
  /** Thaws and closes nothing else; true if it was frozen. */
  thaw(input: { provider: string; account: string }, recording?: Recording): Promise<boolean>;
  /** Leases up to `want` tokens of a bucket refilled at `ratePerSecond` up to `burst`. */
  takeTokens(input: {
    provider: string;
    account: string;
    budget: string;
    want: number;
    ratePerSecond: number;
    burst: number;
  }): Promise<number>;
  /** Takes one of `count` slots for leaseMs; null: all taken. */
  takeSlot(input: {
    provider: string;
    account: string;
    count: number;
    holder: string;
    leaseMs: number;
  }): Promise<number | null>;
  giveSlot(input: { provider: string; account: string; slot: number; holder: string }): Promise<void>;
  /** Counts one event in a sliding window, unless `limit` events are in it already: then nothing is counted. */
  takeWindow(input: { scope: string; key: string; limit: number; windowMs: number }): Promise<WindowTaken>;
  /** Claims one listener of `provider:<name>/<account>` as a probe, SKIP LOCKED; null: none free. */
  claimProbe(input: ProbeInput): Promise<Claim | null>;
  /** Stores the credential's HMAC; true if it differs from the stored one, and then `credential:…` is asked to be fired. */
  registerCredential(input: {
    provider: string;
    account: string;
    digest: string;
    /** Rows a second that may be woken. */
    wakePerSecond: number;
  }): Promise<boolean>;
  /** Number of rows whose kind's objects live in that account: the base of the 1 % re-create brake. */
  countMaterialized(): Promise<number>;
}

export interface ProbeInput {
  readonly provider: string;
  readonly account: string;
  readonly holder: string;
  readonly leaseMs: number;
  /** Kinds that this build knows; absent: all. A probe of another kind would hold its row for a lease and try nothing. */
  readonly kinds?: readonly string[];
}

export interface ProviderReport {
  readonly provider: string;
  readonly account: string;
  readonly outcome: 'ok' | 'unavailable' | 'credential';
  /** Consecutive failures that open the breaker: 5 unavailable, 3 credential. */
  readonly opensAt: number;
  /** Rows a second that are woken when it closes. */
  readonly wakePerSecond: number;
}

/** `freeAt`: when the oldest event leaves the full window; null: in a whole window, or it may hold none at all. */
export type WindowTaken = { readonly taken: true } | { readonly taken: false; readonly freeAt: Ms | null };
