import { describe, expect, it } from 'vitest';
import { manualClock, seededRng } from './clock.ts';
import { CloudState } from './state.ts';

function fixture(): { clock: ReturnType<typeof manualClock>; state: CloudState; table: ReturnType<typeof open> } {
  const clock = manualClock();
  const state = new CloudState(clock);
  return { clock, state, table: open(state) };
}

const open = (state: CloudState) => state.table<{ n: number }>('t', { groupOf: (key) => key.split('/')[0] ?? '' });

describe('a provider state', () => {
  it('undoes the whole transaction when any part of it throws', () => {
    const { state, table } = fixture();
    state.transact(() => table.set('a/1', { n: 1 }));
    expect(() =>
      state.transact(() => {
        table.set('a/1', { n: 2 });
        table.set('a/2', { n: 3 });
        table.delete('a/1');
        throw new Error('no');
      }),
    ).toThrow('no');
    expect([...table.entries()]).toEqual([['a/1', { n: 1 }]]);
    expect(table.keys('a')).toEqual(['a/1']);
  });

  it('undoes what the journal could not take (invariant 3)', () => {
    const { state, table } = fixture();
    state.onCommit(() => {
      throw new Error('disk full');
    });
    expect(() => state.transact(() => table.set('a/1', { n: 1 }))).toThrow('disk full');
    expect(table.size).toBe(0);
  });

  it('refuses a change outside a transaction', () => {
    const { table } = fixture();
    expect(() => table.set('a/1', { n: 1 })).toThrow('outside a transaction');
  });

  it('tells the listener one list of changes for nested transactions', () => {
    const { state, table } = fixture();
    const seen: number[] = [];
    state.onCommit((changes) => seen.push(changes.length));
    state.transact(() => {
      table.set('a/1', { n: 1 });
      state.transact(() => table.set('a/2', { n: 2 }));
    });
    expect(seen).toEqual([2]);
  });

  it('shows the past to a stale read and the present afterwards', () => {
    const { clock, state, table } = fixture();
    state.transact(() => table.set('a/1', { n: 1 }));
    clock.advance(1_000);
    state.transact(() => {
      table.set('a/1', { n: 2 });
      table.set('b/1', { n: 9 });
    });
    const past = state.readAt(clock.now() - 500, () => [table.get('a/1')?.n, table.get('b/1'), table.keys('b').length]);
    expect(past).toEqual([1, undefined, 0]);
    expect([table.get('a/1')?.n, table.get('b/1')?.n, table.keys('b').length]).toEqual([2, 9, 1]);
  });

  it('counts a change of that very moment as seen', () => {
    const { clock, state, table } = fixture();
    state.transact(() => table.set('a/1', { n: 1 }));
    expect(state.readAt(clock.now(), () => table.get('a/1')?.n)).toBe(1);
    expect(state.readAt(clock.now() - 1, () => table.get('a/1')?.n)).toBeUndefined();
  });

  it('lists a group in order after inserts and deletes', () => {
    const { state, table } = fixture();
    state.transact(() => ['a/3', 'a/1', 'b/0', 'a/2'].forEach((key) => table.set(key, { n: 0 })));
    state.transact(() => table.delete('a/1'));
    expect(table.keys('a')).toEqual(['a/2', 'a/3']);
    expect([table.hasGroup('b'), table.hasGroup('c')]).toEqual([true, false]);
  });
});

describe('chance', () => {
  it('gives the same numbers for the same seed and others for another', () => {
    const take = (seed: number): number[] => {
      const rng = seededRng(seed);
      return [rng.next(), rng.next(), rng.next()];
    };
    expect(take(7)).toEqual(take(7));
    expect(take(7)).not.toEqual(take(8));
    for (const value of take(7)) expect(value >= 0 && value < 1).toBe(true);
  });
});
