import { describe, expect, it } from 'vitest';
import type { ListPage } from '#controller/store/resource-store.ts';
import { makeRow, testKinds } from '#resources/testing.ts';
import type { ApiDeps, Call } from './context.ts';
import { unauthenticated } from './errors.ts';
import { createApiOptions } from './options.ts';
import { createReadLane } from './read-lane.ts';
import { watch } from './watch.ts';

/** A watch of 500 rows in one page, whose reader takes as long as it likes for each. */
function slowReader() {
  const state = { now: 0, revoked: false, checks: 0 };
  const items = Array.from({ length: 500 }, (_, n) => ({ row: makeRow({ name: `n${n}` }), work: null, owner: null }));
  const page: ListPage = { items, more: false, version: 7 };
  const auth = {
    async recheck() {
      state.checks += 1;
      if (state.revoked) throw unauthenticated();
    },
  };
  const feed = { place: () => ({ moved: () => new Promise(() => undefined) }) };
  const deps = {
    auth,
    feed,
    kinds: testKinds,
    lane: createReadLane(1),
    clock: { monotonic: () => state.now },
    options: createApiOptions(),
    reads: { list: async () => page },
  } as unknown as ApiDeps;
  const principal = { keyId: 'k', lineage: 'l', class: 'agent', workspace: 'acme', scopes: ['*'] };
  const call = { principal, scope: { workspace: 'acme' }, caller: { principal } } as unknown as Call;
  const events = watch(deps, call, { input: { workspace: 'acme' }, signal: undefined });
  return { state, events };
}

describe('a watch with a slow reader', () => {
  it('ends within 2 s between two rows of one page when its key was revoked', async () => {
    const { state, events } = slowReader();
    await events.next();
    state.revoked = true;
    state.now += 1_999;
    expect((await events.next()).done).toBe(false);
    state.now += 1;
    await expect(events.next()).rejects.toMatchObject({ data: { code: 'UNAUTHENTICATED' } });
  });

  it('does not ask for its key with each row', async () => {
    const { state, events } = slowReader();
    for (let n = 0; n < 450; n += 1) {
      state.now += 10;
      await events.next();
    }
    expect(state.checks).toBe(2);
  });
});
