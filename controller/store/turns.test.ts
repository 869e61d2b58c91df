import { describe, expect, it } from 'vitest';
import { createTurns, LaneFull } from './turns.ts';
import type { Lane, Leave } from './turns.ts';

/** Turns that are ended in the order in which they began. */
function stand(placesMax: number, limits: { atOnceMax?: number; waitingMax?: number } = {}) {
  const turns = createTurns(placesMax);
  const begun: string[] = [];
  const open: Lane[] = [];
  const enter = (name: string, who = name): Leave => {
    const lane = { name, atOnceMax: 100, waitingMax: 1_000, ...limits };
    return turns.enter(lane, () => {
      begun.push(who);
      open.push(lane);
    });
  };
  const endOne = (): void => {
    const lane = open.shift();
    if (lane !== undefined) turns.end(lane);
  };
  const endAll = (): void => {
    while (open.length > 0) endOne();
  };
  return { begun, open, enter, endOne, endAll };
}

const numbered = (name: string, count: number): string[] => Array.from({ length: count }, (_, n) => `${name}${n}`);

describe('turns', () => {
  it('begin at once while a place is free (T3)', () => {
    const { begun, enter } = stand(2);
    enter('a');
    enter('a', 'again');
    expect(begun).toEqual(['a', 'again']);
    enter('b');
    expect(begun).toHaveLength(2);
  });

  it('are at most so many at once, and at most its own of one lane (T1)', () => {
    const { begun, open, enter, endOne } = stand(3, { atOnceMax: 2 });
    for (const who of numbered('a', 5)) enter('a', who);
    expect(begun).toEqual(['a0', 'a1']);
    enter('b');
    expect(begun).toEqual(['a0', 'a1', 'b']);
    endOne();
    expect(begun.slice(3)).toEqual(['a2']);
    expect(open).toHaveLength(3);
  });

  it('come to a lane that asks once before the second of one that asks without end (T2)', () => {
    const { begun, enter, endOne } = stand(1);
    for (const who of numbered('a', 1_000)) enter('a', who);
    enter('b');
    enter('c');
    for (let n = 0; n < 4; n += 1) endOne();
    expect(begun).toEqual(['a0', 'a1', 'b', 'c', 'a2']);
  });

  it('come to each lane alike, whatever the number that waits in it, and within one to who came first (T2)', () => {
    const { begun, enter, endAll } = stand(2, { atOnceMax: 1 });
    for (const [name, count] of [
      ['a', 90],
      ['b', 9],
      ['c', 3],
    ] as const)
      for (const who of numbered(name, count)) enter(name, who);
    endAll();
    const first = begun.slice(0, 9).map((who) => who.charAt(0));
    expect(['a', 'b', 'c'].map((name) => first.filter((one) => one === name).length)).toEqual([3, 3, 3]);
    for (const name of ['a', 'b', 'c']) {
      const own = begun.filter((who) => who.startsWith(name));
      expect(own).toEqual(numbered(name, own.length));
    }
    expect(begun).toHaveLength(102);
  });

  it('are refused to a lane in which too many wait, and to no other (T4)', () => {
    const { begun, enter, endAll } = stand(1, { waitingMax: 2 });
    for (const who of numbered('a', 3)) enter('a', who);
    expect(() => enter('a', 'a3')).toThrow(LaneFull);
    enter('b');
    endAll();
    expect(begun.toSorted()).toEqual(['a0', 'a1', 'a2', 'b']);
    enter('a', 'later');
    expect(begun.at(-1)).toBe('later');
  });

  it('do not come to who has left, and leave no lane behind', () => {
    const { begun, enter, endAll } = stand(1, { waitingMax: 1 });
    const first = enter('a');
    expect(first()).toBe(false);
    const second = enter('b');
    expect(() => enter('b')).toThrow(LaneFull);
    expect(second()).toBe(true);
    expect(second()).toBe(false);
    enter('b', 'other');
    endAll();
    expect(begun).toEqual(['a', 'other']);
  });
});
