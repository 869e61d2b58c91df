import type { Clock } from '#controller/clock.ts';
import type { AdminStore } from '#controller/store/admin-store.ts';
import type { Scope } from '#controller/store/resource-store.ts';
import type { ApiKeyRow } from '#controller/store/rows.ts';
import type { Ms, Principal } from '#resources/resource.ts';
import { unauthenticated } from './errors.ts';
import { hashSecret, parseKey, sameHash } from './key-text.ts';
import type { ApiOptions } from './options.ts';
import { tenantOf } from './tenant.ts';

/**
 * Bearer key → principal. Nothing else reads the Authorization header.
 *
 * Invariants
 * A1  A key whose shape or checksum is wrong never reaches the database.
 * A2  What a key is (class, scopes, workspace) comes from its row alone; a row is at most `keyCacheMs` old.
 * A3  Every failure is the same UNAUTHENTICATED.
 * A4  What anybody can make up (ids that no key has) pushes no key out of the cache, and waits for the database apart from all keys that
 *     were found before.
 */
export interface Authenticator {
  /** Throws UNAUTHENTICATED. */
  authenticate(authorization: string | undefined): Promise<Caller>;
  /** Whether the key still holds: for calls that stay open. Throws UNAUTHENTICATED when it was revoked or has expired. */
  recheck(caller: Caller): Promise<void>;
  /** A key was changed by this process: its row is read again at the next use. */
  forget(keyId: string): void;
}

/** Who calls, and which rows the store shows to such a caller. */
export interface Caller {
  readonly principal: Principal;
  readonly scope: Scope;
  readonly ratePerSecond: number | null;
  readonly expiresAt: Ms | null;
  readonly secretHash: string;
}

export interface AuthDeps {
  readonly admin: Pick<AdminStore, 'findKey' | 'touchKey'>;
  readonly clock: Clock;
  readonly options: Pick<ApiOptions, 'keyCacheMs' | 'keyCacheMax' | 'keyTouchEveryMs'>;
  readonly keyHmacSecret: string;
  /** Hears of a last use that could not be written; the call goes on. */
  readonly onTouchFailed: (error: unknown) => void;
}

interface Cached {
  readonly row: Promise<ApiKeyRow | null>;
  at: number;
  /** Whose key it is, once it has been found. */
  whose: string | undefined;
}

export function createAuthenticator(deps: AuthDeps): Authenticator {
  const { admin, clock, options } = deps;
  const cache = new Map<string, Cached>();
  /** Of ids that no key was found for yet: anybody can make them up, so they are not kept among the keys. */
  const strange = new Map<string, Cached>();
  const touched = new Map<string, number>();

  const set = <T>(kept: Map<string, T>, id: string, value: T): void => {
    // Moved to the end: the first entry is the oldest.
    kept.delete(id);
    kept.set(id, value);
    if (kept.size > options.keyCacheMax) kept.delete(kept.keys().next().value ?? id);
  };
  const settle = async (entry: Cached, id: string): Promise<void> => {
    try {
      const found = await entry.row;
      if (found === null || entry.whose !== undefined) return;
      entry.whose = tenantOf({ keyId: id, workspace: found.workspace });
      strange.delete(id);
      set(cache, id, entry);
    } catch {
      // Who asked hears of it; the next one asks again.
      entry.at = -Infinity;
    }
  };
  const read = (id: string): Promise<ApiKeyRow | null> => {
    const now = clock.monotonic();
    const known = cache.get(id) ?? strange.get(id);
    if (known !== undefined && now - known.at < options.keyCacheMs) return known.row;
    const row = admin.findKey(id, known?.whose);
    const entry: Cached = { row, at: now, whose: known?.whose };
    set(entry.whose === undefined ? strange : cache, id, entry);
    void settle(entry, id);
    return row;
  };

  const touch = ({ id, workspace }: ApiKeyRow): void => {
    const now = clock.monotonic();
    if (now - (touched.get(id) ?? -Infinity) < options.keyTouchEveryMs) return;
    set(touched, id, now);
    admin.touchKey(id, tenantOf({ keyId: id, workspace })).catch(deps.onTouchFailed);
  };

  const live = async (id: string, secretHash: string): Promise<ApiKeyRow> => {
    const row = await read(id);
    if (row === null || !sameHash(row.secretHash, secretHash)) throw unauthenticated();
    if (row.revokedAt !== null || (row.expiresAt !== null && row.expiresAt <= clock.now())) throw unauthenticated();
    return row;
  };

  return {
    async authenticate(authorization) {
      const parts = parseKey(/^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? '');
      if (parts === null) throw unauthenticated();
      const row = await live(parts.id, hashSecret(deps.keyHmacSecret, parts.secret));
      touch(row);
      return callerOf(row);
    },
    async recheck(caller) {
      await live(caller.principal.keyId, caller.secretHash);
    },
    forget: (keyId) => {
      const known = cache.get(keyId);
      if (known !== undefined) known.at = -Infinity;
    },
  };
}

function callerOf(row: ApiKeyRow): Caller {
  const { id: keyId, lineage, workspace, scopes } = row;
  return {
    principal: { keyId, lineage, class: row.class, workspace, scopes },
    scope: workspace === null ? 'platform' : { workspace },
    ratePerSecond: row.ratePerSecond,
    expiresAt: row.expiresAt,
    secretHash: row.secretHash,
  };
}
