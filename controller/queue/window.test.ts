import { describe, expect, it } from 'vitest';
import { createWindow } from './window.ts';
import type { Window } from './window.ts';

const options = { slots: 8, quickMs: 250, quickFactor: 4 };
const now = 10_000;

/** A window after so many quick passes, each one of `count`. */
function opened(quick: number, count: number): Window {
  const window = createWindow(options);
  for (let n = 0; n < quick; n += 1) window.ended(now, { begunAt: now - 250, count });
  return window;
}

describe('the window of passes', () => {
  it('begins with the slots', () => {
    expect(createWindow(options).size(now, now)).toBe(8);
  });

  it('opens by one for each pass that was quick, up to four times the slots', () => {
    expect(opened(3, 8).size(now, now - 250)).toBe(11);
    expect(opened(99, 99).size(now, now - 250)).toBe(32);
  });

  it('opens no further than it is used: to twice what is under way', () => {
    expect(opened(99, 3).size(now, now)).toBe(8);
    expect(opened(99, 10).size(now, now)).toBe(21);
  });

  it('stays open where nothing is under way for a moment', () => {
    expect(opened(99, 99).size(now + 250, null)).toBe(32);
  });

  it.each([
    ['a pass under way is slow', (window: Window) => window.size(now, now - 251)],
    ['no pass has ended for long', (window: Window) => window.size(now + 251, null)],
    ['a pass was slow', (window: Window) => window.ended(now, { begunAt: now - 251, count: 32 })],
  ])('is as it began once %s, and stays so', (_when, happens) => {
    const window = opened(99, 99);
    happens(window);
    expect(window.size(now, now)).toBe(8);
  });
});
