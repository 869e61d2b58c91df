import { describe, expect, it } from 'vitest';
import type { Action } from '#controller/contract.ts';
import {
  missingEntry,
  missingSince,
  sentBefore,
  sentEntry,
  acknowledge,
  approvalDigest,
  changedBefore,
  forgiven,
  judgeRecent,
  lastStood,
  repeatDigest,
} from './recent-actions.ts';
import type { RecentAction } from '#controller/store/rows.ts';

const minute = 60_000;
const now = 100 * minute;
const action: Action = { type: 'patch', effect: 'update', risk: 'guarded' };
const entry = (minutesAgo: number, count: number): RecentAction => ({
  digest: 'd',
  acknowledgedAt: now - minutesAgo * minute,
  count,
});
const judge = (recent: readonly RecentAction[], visibilityMs = 10_000) =>
  judgeRecent(recent, 'd', { now, visibilityMs });

describe('the drift brake', () => {
  it('lets an action go that was not acknowledged lately', () => {
    expect(judge([])).toEqual({ verdict: 'go' });
    expect(judge([{ ...entry(0, 1), digest: 'other' }])).toEqual({ verdict: 'go' });
  });

  it('waits while an acknowledged action may not be visible yet', () => {
    const recent = [{ digest: 'd', acknowledgedAt: now - 4_000, count: 1 }];
    expect(judge(recent)).toEqual({ verdict: 'verify', sinceMs: 4_000, leftMs: 6_000 });
  });

  it('lets it go again once the visibility is over', () => {
    expect(judge([entry(1, 1)])).toEqual({ verdict: 'go' });
  });

  it('does not wait for what is visible at once', () => {
    expect(judge([{ digest: 'd', acknowledgedAt: now, count: 1 }], 0)).toEqual({ verdict: 'go' });
  });

  it('stops after three times without a converged pass between', () => {
    expect(judge([entry(3, 1), entry(2, 2)])).toEqual({ verdict: 'go' });
    expect(judge([entry(3, 1), entry(2, 2), entry(1, 3)])).toEqual({ verdict: 'loop', times: 3 });
  });

  it('stops after ten times in an hour, converged passes between them or not', () => {
    const nine = Array.from({ length: 9 }, (_, index) => entry(50 - index, 0));
    expect(judge(nine)).toEqual({ verdict: 'go' });
    expect(judge([...nine, entry(1, 0)])).toEqual({ verdict: 'loop', times: 10 });
    expect(judge([entry(61, 0), ...nine])).toEqual({ verdict: 'go' });
  });

  it('counts acknowledgements and keeps sixteen of them', () => {
    const twice = acknowledge(acknowledge([], ['d'], 1), ['d', 'e'], 2);
    expect(twice.map((one) => [one.digest, one.count])).toEqual([
      ['d', 1],
      ['d', 2],
      ['e', 1],
    ]);
    const many = acknowledge(twice, Array<string>(20).fill('f'), 3);
    expect(many).toHaveLength(16);
    expect(many.at(-1)).toEqual({ digest: 'f', acknowledgedAt: 3, count: 20 });
  });

  it('begins the run anew when a pass converges, and says when nothing changed', () => {
    const calm = forgiven(acknowledge([], ['d'], 1));
    expect(calm).toEqual([{ digest: 'd', acknowledgedAt: 1, count: 0 }]);
    expect(forgiven(calm)).toBe(calm);
  });
});

describe('digests of actions', () => {
  const seen = { ...action, changes: [{ path: 'a', have: 1, want: 2 }], guard: { metageneration: '4' } };

  it('never cover observations', () => {
    expect(approvalDigest(seen)).toBe(approvalDigest(action));
    expect(repeatDigest(seen, 1)).toBe(repeatDigest(action, 1));
  });

  it('cover the arguments', () => {
    expect(approvalDigest({ ...action, priceCents: 5 })).not.toBe(approvalDigest(action));
  });

  it('let one approval cover all steps, and count each step for itself', () => {
    const page = { ...action, step: 'page-2' };
    expect(approvalDigest(page)).toBe(approvalDigest(action));
    expect(repeatDigest(page, 1)).not.toBe(repeatDigest(action, 1));
  });

  it('of a new generation match none of the old one', () => {
    expect(repeatDigest(action, 2)).not.toBe(repeatDigest(action, 1));
  });
});

describe('when our object was last known to stand', () => {
  const entryAt = (acknowledgedAt: number, digest = 'made'): RecentAction => ({ digest, acknowledgedAt, count: 1 });
  const away = entryAt(12, 'away:x');

  it.each([
    { title: 'is never before anything was done or seen', recentActions: [], verifiedAt: null, stoodAt: 0 },
    { title: 'is when it was made or changed', recentActions: [entryAt(5)], verifiedAt: null, stoodAt: 5 },
    { title: 'is when it was seen, if that is later', recentActions: [entryAt(5)], verifiedAt: 9, stoodAt: 9 },
    { title: 'is over once it was taken away', recentActions: [entryAt(5), away], verifiedAt: 9, stoodAt: 0 },
    { title: 'begins again when it is made again', recentActions: [away, entryAt(20)], verifiedAt: 9, stoodAt: 20 },
  ])('$title', ({ recentActions, verifiedAt, stoodAt }) => {
    expect(lastStood({ recentActions, verifiedAt })).toBe(stoodAt);
  });

  it('knows when the provider was last changed for an earlier generation', () => {
    const madeFor = (generation: number) => entryAt(7, repeatDigest(action, generation));
    expect(changedBefore([], 3)).toBe(0);
    expect(changedBefore([madeFor(2)], 3)).toBe(7);
    expect(changedBefore([madeFor(2), madeFor(3)], 3)).toBe(0);
    expect(changedBefore([madeFor(31)], 3)).toBe(7);
  });

  it('takes deletes and releases for taking away, nothing else', () => {
    const marked = (effect: Action['effect']) =>
      repeatDigest({ type: 'a', effect, risk: 'free' }, 1).startsWith('away:');
    expect((['create', 'update', 'delete', 'release'] as const).map(marked)).toEqual([false, false, true, true]);
  });
});

describe('entries that are no change', () => {
  const entry = (digest: string, acknowledgedAt: number) => ({ digest, acknowledgedAt, count: 1 });
  const create = repeatDigest({ type: 'create', effect: 'create', risk: 'free' }, 1);

  it('a sight that something is missing counts from the first one after it last stood', () => {
    const recentActions = [entry(create, 100), entry(missingEntry(1), 200), entry(missingEntry(1), 300)];
    expect(lastStood({ recentActions, verifiedAt: null })).toBe(100);
    expect(missingSince({ recentActions, verifiedAt: 150 })).toBe(200);
    expect(missingSince({ recentActions, verifiedAt: 250 })).toBe(300);
    expect(missingSince({ recentActions, verifiedAt: 300 })).toBeNull();
  });

  it('a change whose answer was lost is remembered for the generations after it, and is no acknowledgement', () => {
    const recentActions = [entry(create, 100), entry(sentEntry(2), 200)];
    expect([sentBefore(recentActions, 2), sentBefore(recentActions, 3)]).toEqual([0, 200]);
    expect(lastStood({ recentActions, verifiedAt: null })).toBe(100);
    expect(changedBefore(recentActions, 2)).toBe(100);
  });
});
