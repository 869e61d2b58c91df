import { describe, expect, it } from 'vitest';
import type { ListPage, ListQuery } from '#controller/store/resource-store.ts';
import { makeRow, testKinds } from '#resources/testing.ts';
import type { ApiDeps, Call } from './context.ts';
import { unauthenticated } from './errors.ts';
import { createHeldPages } from './held-pages.ts';
import { createApiOptions } from './options.ts';
import { createReadLane } from './read-lane.ts';
import { watch } from './watch.ts';

/** A watch of 500 rows in one page, whose reader takes as long as it likes for each. */
function slowReader({ watchBytesPerTenant = 16_777_216, hangs = false } = {}) {
  const options = createApiOptions({ watchBytesPerTenant });
  const held = createHeldPages(options);
  const slept = Promise.withResolvers<void>();
  const state = { now: 0, revoked: false, checks: 0, slept, read: [] as (string | null)[] };
  const items = Array.from({ length: 500 }, (_, n) => ({ row: makeRow({ name: `n${n}` }), work: null, owner: null }));
  const list = async (_scope: unknown, { after }: ListQuery): Promise<ListPage> => {
    state.read.push(after?.name ?? null);
    if (hangs) await new Promise(() => undefined);
    const from = after === undefined ? 0 : items.findIndex((one) => one.row.name === after.name) + 1;
    return { items: items.slice(from), more: false, version: 7 };
  };
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
    held,
    clock: { monotonic: () => state.now, sleep: () => state.slept.promise },
    options,
    reads: { list },
  } as unknown as ApiDeps;
  const principal = { keyId: 'k', lineage: 'l', class: 'agent', workspace: 'acme', scopes: ['*'] };
  const call = { principal, scope: { workspace: 'acme' }, caller: { principal } } as unknown as Call;
  const events = watch(deps, call, { input: { workspace: 'acme' }, signal: undefined });
  return { state, held, events };
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

  it('ends when its key was revoked while it waits for a page that does not come', async () => {
    const { state, events } = slowReader({ hangs: true });
    const next = events.next();
    await new Promise(setImmediate);
    state.revoked = true;
    state.slept.resolve();
    await expect(next).rejects.toMatchObject({ data: { code: 'UNAUTHENTICATED' } });
  });

  it('reads again from where its reader is what it could not hold, and sends each row once', async () => {
    const { state, held, events } = slowReader({ watchBytesPerTenant: 1_024 });
    const names: unknown[] = [];
    for (let n = 0; n < 500; n += 1) {
      const { value } = await events.next();
      const [, { resource }] = value as unknown as [string, { resource: { metadata: { name: string } } }];
      names.push(resource.metadata.name);
      // Another watch of the tenant has a page by now.
      if (n === 100) [...held.hold('acme', ['x'.repeat(2_000)])].pop();
    }
    expect(names).toEqual(Array.from({ length: 500 }, (_, n) => `n${n}`));
    expect(state.read).toEqual([null, 'n100']);
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
