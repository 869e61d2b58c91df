import { describe, expect, it } from 'vitest';
import type { Clock } from '#controller/clock.ts';
import { ApiError } from '#resources/errors.ts';
import { createAuthenticator } from './auth.ts';
import { hashSecret, mintKey, parseKey, requestDigest } from './key-text.ts';
import { newKey } from './new-key.ts';
import { createRateLimiter } from './rate-limit.ts';
import { allows, scopePattern } from './scopes.ts';

describe('a key as text', () => {
  it('is read back, and has at least 160 random bits', () => {
    const key = mintKey('prod');
    expect(parseKey(key.text)).toEqual({ id: key.id, secret: key.secret });
    expect(key.secret.length * 4).toBeGreaterThanOrEqual(160);
    expect(mintKey('prod').text).not.toBe(key.text);
  });

  it('is refused with any one character changed', () => {
    const { text } = mintKey('prod');
    for (let index = 0; index < text.length; index += 1) {
      const other = text[index] === '1' ? '2' : '1';
      expect(parseKey(`${text.slice(0, index)}${other}${text.slice(index + 1)}`)).toBeNull();
    }
  });

  it.each(['', 'vibn', 'vibn_prod_a_b_c', `vibn_prod_${'a'.repeat(9_999)}`])('is refused when it is %s', (text) => {
    expect(parseKey(text)).toBeNull();
  });

  it('has an environment of lower-case letters and digits', () => {
    expect(() => mintKey('Prod!')).toThrow('lower-case');
  });

  it('keeps neither the secret nor the body in its digests', () => {
    expect(hashSecret('hmac', 'secret')).toMatch(/^[0-9a-f]{64}$/);
    expect(hashSecret('hmac', 'secret')).not.toBe(hashSecret('other', 'secret'));
    expect(requestDigest('hmac', 'a', { x: 1, y: 2 })).toBe(requestDigest('hmac', 'a', { y: 2, x: 1 }));
    expect(requestDigest('hmac', 'a', { x: 1 })).not.toBe(requestDigest('hmac', 'b', { x: 1 }));
  });
});

describe('keys and what anybody makes up', () => {
  function setUp() {
    const state = { now: 0, down: false };
    const looked: (readonly [id: string, whose: string | undefined])[] = [];
    const made = { name: '', workspace: 'acme', class: 'agent', scopes: [], createdAt: 0 } as const;
    const { row, text: known } = newKey({ env: 'test', hmacSecret: 'hmac' }, made);
    const auth = createAuthenticator({
      admin: {
        findKey: async (id, whose) => {
          looked.push([id, whose]);
          if (state.down) throw new Error('no database');
          return id === row.id ? row : null;
        },
        touchKey: async () => undefined,
      },
      clock: { monotonic: () => state.now, now: () => 0 } as Clock,
      options: { keyCacheMs: 2_000, keyCacheMax: 10, keyTouchEveryMs: 60_000 },
      keyHmacSecret: 'hmac',
      onTouchFailed: () => undefined,
    });
    const ask = (text: string): Promise<string> =>
      auth.authenticate(`Bearer ${text}`).then(
        (caller) => caller.principal.keyId,
        (error: Error) => error.message,
      );
    return { state, looked, ask, known, id: row.id };
  }

  it('wait apart: a key that was found is looked for in the name of its owner from then on (A4)', async () => {
    const { state, looked, ask, known, id } = setUp();
    await ask(known);
    for (const down of [false, true, false]) {
      state.now += 3_000;
      state.down = down;
      await ask(known);
    }
    expect(looked).toEqual([
      [id, undefined],
      [id, 'acme'],
      [id, 'acme'],
      [id, 'acme'],
    ]);
  });

  it('do not push a key out of what is known of it, however many there are (A4)', async () => {
    const { state, looked, ask, known, id } = setUp();
    await ask(known);
    const made = Array.from({ length: 50 }, () => mintKey('test').text);
    await Promise.all(made.map((text) => ask(text)));
    await ask(known);
    expect(looked.filter(([one]) => one === id)).toHaveLength(1);
    expect(looked.every(([one, whose]) => one === id || whose === undefined)).toBe(true);
    const before = looked.length;
    await ask(made.at(-1) ?? '');
    expect(looked).toHaveLength(before);
    state.now += 2_000;
    await ask(made.at(-1) ?? '');
    expect(looked).toHaveLength(before + 1);
  });
});

describe('scopes', () => {
  it.each([
    { scopes: ['*'], asked: 'storage:delete', allowed: true },
    { scopes: ['storage:*'], asked: 'storage:delete', allowed: true },
    { scopes: ['*:read'], asked: 'storage:read', allowed: true },
    { scopes: ['*:read'], asked: 'storage:write', allowed: false },
    { scopes: ['storage:write'], asked: 'storage:read', allowed: false },
    { scopes: ['storage:read', 'storage:write'], asked: 'storage:write', allowed: true },
    { scopes: ['storages:read'], asked: 'storage:read', allowed: false },
    { scopes: [], asked: 'storage:read', allowed: false },
  ])('$scopes for $asked: $allowed', ({ scopes, asked, allowed }) => {
    const [area = '', action = ''] = asked.split(':');
    expect(allows(scopes, area, action)).toBe(allowed);
  });

  it('has a pattern that takes all that are documented', () => {
    for (const scope of ['apps:read', 'databases:*', 'email:send', 'queues:enqueue', '*', '*:read']) {
      expect(scope).toMatch(scopePattern);
    }
    for (const scope of ['', 'apps', 'Apps:read', 'apps:', ':read', 'apps:read:x', 'a b:read']) {
      expect(scope).not.toMatch(scopePattern);
    }
  });
});

describe('the rate limiter', () => {
  let now = 0;
  const clock = { monotonic: () => now } as Clock;
  const limiter = () =>
    createRateLimiter({
      clock,
      options: { ratePerSecondDefault: 10, ratePerTenant: 15, burstSeconds: 2, batchMax: 5 },
    });
  const of = (keyId: string, ratePerSecond: number | null = null, workspace: string | null = null) => ({
    principal: { keyId, workspace },
    ratePerSecond,
  });
  const refusedFor = (body: () => void): number | null => {
    try {
      body();
      return null;
    } catch (error) {
      return error instanceof ApiError ? error.data.retryAfterMs : -1;
    }
  };

  it('lets a burst through, then the rate, and says when the next call fits', () => {
    const limit = limiter();
    expect(refusedFor(() => limit.take(of('k'), 20))).toBeNull();
    expect(refusedFor(() => limit.take(of('k'), 1))).toBe(100);
    now += 100;
    expect(refusedFor(() => limit.take(of('k'), 1))).toBeNull();
    expect(refusedFor(() => limit.take(of('k'), 5))).toBe(500);
  });

  it('takes a batch whole or not at all', () => {
    const limit = limiter();
    limit.take(of('k'), 18);
    expect(refusedFor(() => limit.take(of('k'), 3))).toBe(100);
    expect(refusedFor(() => limit.take(of('k'), 2))).toBeNull();
  });

  it('keeps keys apart, and lets a slow key send one full batch', () => {
    const limit = limiter();
    limit.take(of('a'), 20);
    expect(refusedFor(() => limit.take(of('b', 1), 5))).toBeNull();
    expect(refusedFor(() => limit.take(of('b', 1), 1))).toBe(1_000);
  });

  it('lets all keys of a workspace together have the rate of a workspace, or that of a key with more', () => {
    const limit = limiter();
    limit.take(of('a', null, 'acme'), 20);
    limit.take(of('b', null, 'acme'), 10);
    expect(refusedFor(() => limit.take(of('c', null, 'acme'), 3))).toBe(200);
    expect(refusedFor(() => limit.take(of('d', null, 'beta'), 3))).toBeNull();
    expect(refusedFor(() => limit.take(of('platform'), 20))).toBeNull();
    limit.take(of('e', 100, 'gamma'), 200);
    expect(refusedFor(() => limit.take(of('e', 100, 'gamma'), 1))).toBe(10);
  });
});
