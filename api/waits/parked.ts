import type { Clock } from '#controller/clock.ts';
import type { ResourceStore, Scope } from '#controller/store/resource-store.ts';
import type { Feed } from '#controller/watch/feed.ts';
import type { Ms } from '#resources/resource.ts';
import type { Authenticator, Caller } from '#api/auth.ts';
import type { ApiOptions } from '#api/options.ts';
import type { ReadLane } from '#api/read-lane.ts';
import type { Fixed, WaitResult } from './evaluate.ts';
import type { Group } from './groups.ts';

// What the parts of parked-waits.ts hand each other.

export interface WaitAnswer {
  readonly outcome: 'met' | 'stalled' | 'deleted' | 'timeout';
  readonly results: readonly WaitResult[];
  readonly cursor: string;
}

/** A wait whose rows were found, and are not as wanted yet. */
export interface UndecidedWait {
  readonly scope: Scope;
  readonly caller: Caller;
  readonly fixed: readonly Fixed[];
  readonly until: string;
  readonly cursor: string;
  /** Monotonic. */
  readonly deadline: Ms;
  /** Gives its place among the open waits back. Called once. */
  readonly release: () => void;
}

/**
 * Where a wait that is not decided yet is left, by a door that can answer later without keeping the call: it parks it. What the
 * procedure answers is then not sent.
 */
export interface Seat {
  wait: UndecidedWait | null;
}

/** What a parked wait hears: its answer, as text too, which is made once for all who hear it; or what went wrong. */
export type Heard = { readonly answer: WaitAnswer; readonly text: () => string } | { readonly error: unknown };

export interface Parked {
  readonly group: Group<Parked>;
  readonly keyId: string;
  /** Of its deadline. */
  readonly slot: number;
  /** Counts up: a look that began before it was parked is not for it. */
  readonly number: number;
  readonly release: () => void;
  readonly hear: (heard: Heard) => void;
}

export interface ParkedWaitsDeps {
  readonly feed: Feed;
  readonly resources: Pick<ResourceStore, 'bareByUid'>;
  readonly auth: Pick<Authenticator, 'recheck'>;
  readonly lane: ReadLane;
  readonly clock: Clock;
  readonly options: Pick<ApiOptions, 'feedPollMs' | 'feedGapMs' | 'keyRecheckMs'>;
}
