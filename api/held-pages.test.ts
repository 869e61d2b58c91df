import { describe, expect, it } from 'vitest';
import { createHeldPages } from './held-pages.ts';
import type { Held } from './held-pages.ts';

const kilobyte = 'x'.repeat(1_000);
const page = (name: string, count = 10): string[] => Array.from({ length: count }, (_, n) => `${name}${n} ${kilobyte}`);
/** Some of a page, as a reader takes them; the rest is left. */
const reader = (held: Held<string>) => {
  const items = held[Symbol.iterator]();
  const one = (): string | null => {
    const next = items.next();
    return next.done === true ? null : (next.value.split(' ')[0] ?? '');
  };
  return { one, all: () => [...items].length, isCut: () => held.isCut() };
};

describe('pages that are held', () => {
  it('are taken whole, item by item', () => {
    const held = createHeldPages({ watchBytesPerTenant: 30_000, watchBytesMax: 100_000 }).hold('acme', page('a'));
    expect([...held]).toEqual(page('a'));
    expect(held.isCut()).toBe(false);
  });

  it('of one tenant are let go, what was untouched for longest first, and never those of another (H1, H2)', () => {
    const pages = createHeldPages({ watchBytesPerTenant: 25_000, watchBytesMax: 100_000 });
    const theirs = reader(pages.hold('beta', page('t')));
    const [stalled, read] = [reader(pages.hold('acme', page('s'))), reader(pages.hold('acme', page('r')))];
    expect([stalled.one(), read.one()]).toEqual(['s0', 'r0']);
    const third = reader(pages.hold('acme', page('n')));
    expect([stalled.one(), stalled.isCut()]).toEqual([null, true]);
    expect([read.all(), read.isCut()]).toEqual([9, false]);
    expect([third.all(), theirs.all()]).toEqual([10, 10]);
  });

  it('give their first item in any case, also one that weighs more than all may (H3)', () => {
    const pages = createHeldPages({ watchBytesPerTenant: 5_000, watchBytesMax: 100_000 });
    const [one, other] = [reader(pages.hold('acme', page('a'))), reader(pages.hold('acme', page('b')))];
    expect([one.one(), one.one(), one.isCut()]).toEqual(['a0', null, true]);
    expect([other.all(), other.isCut()]).toEqual([10, false]);
  });

  it('of all tenants together are no more than the process may hold (H1)', () => {
    const pages = createHeldPages({ watchBytesPerTenant: 25_000, watchBytesMax: 45_000 });
    const held = Array.from({ length: 8 }, (_, n) => reader(pages.hold(`tenant${n}`, page('a'))));
    expect(held.map((one) => one.all())).toEqual([1, 1, 1, 1, 10, 10, 10, 10]);
  });

  it('weigh once where many have the same', () => {
    const pages = createHeldPages({ watchBytesPerTenant: 25_000, watchBytesMax: 100_000 });
    const items = page('a');
    const held = Array.from({ length: 50 }, () => reader(pages.hold('acme', items)));
    expect(held.every((one) => one.one() === 'a0')).toBe(true);
    expect(held.map((one) => one.all())).toEqual(Array.from({ length: 50 }, () => 9));
    const kept = reader(pages.hold('acme', page('k')));
    expect(kept.one()).toBe('k0');
    pages.hold('acme', page('l'));
    expect(kept.all()).toBe(9);
  });

  it('make room when nobody takes from them any more', () => {
    const pages = createHeldPages({ watchBytesPerTenant: 25_000, watchBytesMax: 100_000 });
    const kept = reader(pages.hold('acme', page('k')));
    expect(kept.one()).toBe('k0');
    for (let n = 0; n < 100; n += 1) for (const item of pages.hold('acme', page('d'))) if (item !== '') break;
    expect(kept.all()).toBe(9);
  });
});
