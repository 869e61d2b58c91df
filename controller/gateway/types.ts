import type { CallOptions } from '#controller/contract.ts';
import type { Claim } from '#controller/store/rows.ts';

/**
 * The one door to providers (architecture §5, Provider gateway). Around every call: residency, freeze, breaker, rate, concurrency,
 * slots, the caller's own last check (`beforeSend`), a deadline of our own, and the report of how it ended.
 */
export interface Gateway {
  /**
   * Sends one provider call. Resolves with the reply. Rejects with what `send` threw (a ProviderError), or with one of the typed
   * errors below; of those only DeadlineExceeded means that the call may have reached the provider.
   */
  call<R>(request: GatewayCall<R>): Promise<R>;
  /** What is known of a provider account, at most one refresh old. */
  state(provider: string, account: string): GatewayState;
}

export interface GatewayCall<R> {
  readonly options: CallOptions<R>;
  readonly send: (signal: AbortSignal) => Promise<R>;
  readonly workspace: string;
  readonly kind: string;
  readonly uid: string;
  /** The kind's longest call in ms: default and ceiling of `options.timeoutMs`. */
  readonly maxCallMs: number;
  /** The first call of a probe passes an open breaker. */
  readonly probe: boolean;
  /**
   * Lease extension or markSending. Runs after tokens and slots are held, directly before the send; if the send does not begin
   * within 2 s of its start it is asked again. What it throws forbids the send and reaches the caller as it is.
   */
  readonly beforeSend?: () => Promise<void>;
  /**
   * Hears the answer of a call that was given up at its deadline, if one still comes, so that `keep` is written all the same. The
   * signal is aborted by then: a late error may be no more than that and proves nothing by itself. Must not throw.
   */
  readonly onLateAnswer?: (answer: LateAnswer<R>) => void;
}

export type LateAnswer<R> = { readonly ok: true; readonly reply: R } | { readonly ok: false; readonly error: unknown };

export interface GatewayState {
  readonly breaker: 'closed' | 'open';
  readonly cause: 'unavailable' | 'credential' | null;
  /** ms for which a 429 still holds all calls; 0: none. */
  readonly blockedForMs: number;
  readonly frozen: { readonly by: string; readonly why: string } | null;
}

/** What the engine does for the gateway; given at its start, since the engine itself needs the gateway. */
export interface GatewayHandlers {
  /** The engine's holder: it will own the claimed probes. */
  readonly holder: string;
  readonly leaseMs: number;
  /** Kinds that this build knows: beside a newer build, it probes with rows of no others. */
  readonly kinds: readonly string[];
  /** A listener of an open breaker was claimed as a probe; its lease counts from `claimSentAt` (monotonic ms). */
  onProbe(claim: Claim, claimSentAt: number): void;
  /** An account thawed: its topic is to be fired. */
  onThawed(provider: string, account: string): void;
  /** A report of this process closed a breaker, and asked for its topic to be fired. */
  onClosed(provider: string, account: string): void;
}
