import type { Clock } from '#controller/clock.ts';
import type { Authenticator, Caller } from '#api/auth.ts';
import type { ApiOptions } from '#api/options.ts';

/** Asks again for the keys of parked waits whether they still hold: once for each key, however many waits it has. */
export interface KeyChecks {
  enter(caller: Caller): void;
  leave(keyId: string): void;
  /** Asks, if it is time to. Tells of each key that could not be confirmed. */
  sweep(onLost: (keyId: string, error: unknown) => void): void;
}

export interface KeyChecksDeps {
  readonly auth: Pick<Authenticator, 'recheck'>;
  readonly clock: Clock;
  readonly options: Pick<ApiOptions, 'keyRecheckMs'>;
}

interface OpenKey {
  readonly caller: Caller;
  waits: number;
  asking: boolean;
}

export function createKeyChecks({ auth, clock, options }: KeyChecksDeps): KeyChecks {
  const keys = new Map<string, OpenKey>();
  let askedAt = clock.monotonic();
  return {
    enter(caller) {
      const { keyId } = caller.principal;
      const known = keys.get(keyId);
      if (known === undefined) keys.set(keyId, { caller, waits: 1, asking: false });
      else known.waits += 1;
    },
    leave(keyId) {
      const known = keys.get(keyId);
      if (known === undefined) return;
      known.waits -= 1;
      if (known.waits === 0) keys.delete(keyId);
    },
    sweep(onLost) {
      if (clock.monotonic() - askedAt < options.keyRecheckMs) return;
      askedAt = clock.monotonic();
      for (const [keyId, key] of keys) {
        if (key.asking) continue;
        key.asking = true;
        // Not in the lane: what else the tenant reads there may take longer than a revocation may.
        void auth
          .recheck(key.caller)
          .catch((error: unknown) => onLost(keyId, error))
          .finally(() => (key.asking = false));
      }
    },
  };
}
