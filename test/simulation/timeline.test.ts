import fc from 'fast-check';
import '#test/support/seeds.ts';
import { describe, expect, test } from 'vitest';
import { createTimeline } from './timeline.ts';

describe('timeline', () => {
  test('runs callbacks in order of time, and of asking where times are equal', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50), { maxLength: 60 }), (delays) => {
        const timeline = createTimeline();
        const ran: (readonly [number, number])[] = [];
        for (const [index, ms] of delays.entries()) timeline.after(ms, () => ran.push([timeline.elapsed(), index]));
        while (timeline.runNext());
        const wanted = delays.map((ms, index) => [ms, index] as const);
        expect(ran).toEqual(wanted.toSorted((a, b) => a[0] - b[0] || a[1] - b[1]));
      }),
    );
  });

  test('does not run what was cancelled', () => {
    const timeline = createTimeline();
    const ran: string[] = [];
    const cancel = timeline.after(1, () => ran.push('a'));
    timeline.after(2, () => ran.push('b'));
    cancel();
    expect(timeline.nextAt()).toBe(2);
    expect(timeline.runNext()).toBe(true);
    expect(timeline.runNext()).toBe(false);
    expect([ran, timeline.elapsed()]).toEqual([['b'], 2]);
  });

  test('never goes back: what fell due while time was moved runs late', () => {
    const timeline = createTimeline();
    timeline.after(5, () => undefined);
    timeline.advance(9);
    timeline.runNext();
    expect(timeline.elapsed()).toBe(9);
  });
});
