// The one way into a provider's model, shared by sockets and simulation: decides faults, runs the operation, writes the call log.
//
// A provider's router turns a request into an Operation without touching state; `perform` does the rest, synchronously. A fault that
// withholds the reply answers `{ kind: 'lost' }`: the wire destroys the socket, a simulation leaves the caller waiting.

import type { CallLog } from './call-log.ts';
import type { CloudClock } from './clock.ts';
import type { CallKind, FaultDecision, Faults } from './faults.ts';
import type { CloudState } from './state.ts';

/** A request as it came: path and query raw (percent-encoded, signatures depend on it), header names in lower case. */
export interface CloudRequest {
  readonly method: string;
  /** Begins with "/"; without the query. */
  readonly path: string;
  /** Without the leading "?". */
  readonly query: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body?: Buffer | undefined;
}

/** An object body is sent as JSON, bytes as they are. */
export interface CloudResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer | object | undefined;
}

/** What the caller gets: an answer after `delayMs`, or never one. */
export type Delivery =
  | { readonly kind: 'reply'; readonly response: CloudResponse; readonly delayMs: number }
  | { readonly kind: 'lost' };

/** A request understood: what it is called in faults and calls, and how to carry it out. */
export interface Operation {
  readonly op: string;
  /** The thing acted on: "bucket", "bucket/object"; "" for collections. */
  readonly name: string;
  readonly kind: CallKind;
  /** Carries it out. Provider errors are answers, not throws. */
  run(): CloudResponse;
  /** What false-empty answers: an empty list, or "not found". */
  empty(): CloudResponse;
  /** The provider's own form of an error that the door makes up (unavailable, throttled). */
  failure(kind: 'unavailable' | 'throttled'): CloudResponse;
}

/** What a door needs of its surroundings. `later` runs late effects: real timers on the wire, virtual ones in a simulation. */
export interface DoorContext {
  readonly provider: string;
  readonly clock: CloudClock;
  readonly state: CloudState;
  readonly faults: Faults;
  readonly calls: CallLog;
  later(delayMs: number, run: () => void): void;
}

/** Carries out one operation, struck by at most one fault. */
export function perform(door: DoorContext, operation: Operation): Delivery {
  const decision = door.faults.decide(door.provider, operation.op, operation.kind);
  if (decision === undefined) {
    const response = operation.run();
    log(door, operation, outcomeOf(response));
    return reply(response);
  }
  log(door, operation, `fault:${decision.fault}`);
  return struck(door, operation, decision);
}

function struck(door: DoorContext, operation: Operation, decision: FaultDecision): Delivery {
  switch (decision.fault) {
    case 'refuse':
      return reply(operation.failure('unavailable'));
    case 'throttle':
      return reply(operation.failure('throttled'));
    case 'false-empty':
      return reply(operation.empty());
    case 'stale':
      return reply(door.state.readAt(door.clock.now() - decision.delayMs, () => operation.run()));
    case 'slow':
      return { kind: 'reply', response: operation.run(), delayMs: decision.delayMs };
    case 'lose-request':
      return { kind: 'lost' };
    case 'lose-reply':
      operation.run();
      return { kind: 'lost' };
    case 'late':
      door.later(decision.delayMs, () => log(door, operation, `late:${outcomeOf(operation.run())}`));
      return { kind: 'lost' };
  }
}

function reply(response: CloudResponse): Delivery {
  return { kind: 'reply', response, delayMs: 0 };
}

function outcomeOf(response: CloudResponse): string {
  return response.status < 400 ? 'ok' : `error:${response.status}`;
}

function log(door: DoorContext, operation: Operation, outcome: string): void {
  door.calls.add({ provider: door.provider, op: operation.op, name: operation.name, outcome });
}
