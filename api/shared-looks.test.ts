import { describe, expect, it } from 'vitest';
import type { Scope } from '#controller/store/resource-store.ts';
import type { ResourceView } from '#resources/resource.ts';
import { makeRow } from '#resources/testing.ts';
import { createSharedLooks } from './shared-looks.ts';

/** A store that writes down what it is asked, and answers when it is let. */
function createBench() {
  const asked: { scope: Scope; workspace: string; uids: readonly string[] }[] = [];
  const gates: PromiseWithResolvers<void>[] = [];
  const looks = createSharedLooks<string>({
    textOf: (uid) => uid,
    async read(scope, workspace, uids) {
      asked.push({ scope, workspace, uids });
      const gate = Promise.withResolvers<void>();
      gates.push(gate);
      await gate.promise;
      return uids
        .filter((uid) => !uid.startsWith('gone'))
        .map((uid): ResourceView => ({ row: makeRow({ uid }), work: null, owner: null }));
    },
  });
  return { asked, gates, looks };
}

const uidsOf = (views: readonly ResourceView[]): readonly string[] => views.map((view) => view.row.uid);
const acme: Scope = { workspace: 'acme' };

describe('shared looks', () => {
  it('gather in one statement who asks while another is under way, and answer only what was read after they asked', async () => {
    const { asked, gates, looks } = createBench();
    const first = looks.look(acme, 'acme', ['a']);
    const later = [looks.look(acme, 'acme', ['a', 'b']), looks.look(acme, 'acme', ['c', 'gone-1'])];
    expect(asked.map((one) => one.uids)).toEqual([['a']]);
    gates[0]?.resolve();
    expect(uidsOf(await first)).toEqual(['a']);
    await expect.poll(() => asked.map((one) => one.uids)).toEqual([['a'], ['a', 'b', 'c', 'gone-1']]);
    gates[1]?.resolve();
    for (const rows of await Promise.all(later)) expect(uidsOf(rows)).toEqual(['a', 'b', 'c']);
  });

  it('share nothing between scopes or workspaces', () => {
    const { asked, looks } = createBench();
    void looks.look(acme, 'acme', ['a']);
    void looks.look('platform', 'acme', ['a']);
    void looks.look('platform', 'beta', ['a']);
    expect(asked.map(({ scope, workspace }) => [scope, workspace])).toEqual([
      [acme, 'acme'],
      ['platform', 'acme'],
      ['platform', 'beta'],
    ]);
  });

  it('tell all who shared a statement of its failure, and go on after it', async () => {
    const { gates, looks } = createBench();
    const first = looks.look(acme, 'acme', ['a']);
    const second = looks.look(acme, 'acme', ['b']);
    gates[0]?.reject(new Error('no database'));
    await expect(first).rejects.toThrow('no database');
    await expect.poll(() => gates.length).toBe(2);
    gates[1]?.resolve();
    expect(uidsOf(await second)).toEqual(['b']);
  });

  it('ask for at most 500 rows in one statement', async () => {
    const { asked, gates, looks } = createBench();
    const all = looks.look(
      acme,
      'acme',
      Array.from({ length: 501 }, (_, n) => `u${n}`),
    );
    gates[0]?.resolve();
    await expect.poll(() => gates.length).toBe(2);
    gates[1]?.resolve();
    expect((await all).length).toBe(501);
    expect(asked.map((one) => one.uids.length)).toEqual([500, 1]);
  });
});
