import { describe, expect, it } from 'vitest';
import { absenceProvenAt, allLandedAt, matchProvenAt, takeoverLandedAt } from './landing.ts';
import type { Earlier } from './landing.ts';
import { missingEntry, repeatDigest, sentEntry } from './recent-actions.ts';
import type { Action } from '#controller/contract.ts';
import type { RecentAction } from '#controller/store/rows.ts';

const second = 1_000;
/** A long time ago. */
const at = 1_000 * second;
const [visibilityMs, maxCallMs] = [10 * second, 30 * second];
/** Longest until what was sent has landed. */
const landsMs = 30 * second;
const generation = 2;

const make: Action = { type: 'make', effect: 'create', risk: 'free' };
const take: Action = { type: 'take', effect: 'delete', risk: 'guarded' };
const did = (action: Action, of = generation, when = at): RecentAction => entry(repeatDigest(action, of), when);
const entry = (digest: string, acknowledgedAt = at): RecentAction => ({ digest, acknowledgedAt, count: 1 });
const earlier = (work: Partial<Earlier['work']>): Earlier => ({
  work: { recentActions: [], verifiedAt: null, takenOverAt: null, ...work },
  generation,
  timing: { visibilityMs, maxCallMs },
});

describe('what is seen can be believed', () => {
  const now = at + 5 * second;
  /** ms after `at`: Ready (all has landed), a match, absence; 0: from the beginning. */
  const table: [string, Partial<Earlier['work']>, readonly [number, number, number]][] = [
    ['at once where nothing was done', {}, [0, 0, 0]],
    [
      'as Ready and as absent when the call of the holder before has landed',
      { takenOverAt: at },
      [landsMs, 0, landsMs],
    ],
    [
      'as Ready and as absent when a lost call of an earlier generation has landed',
      { recentActions: [entry(sentEntry(1))] },
      [landsMs, 0, landsMs],
    ],
    [
      'at once after a lost call of this generation: it lands what is wanted',
      { recentActions: [entry(sentEntry(2))] },
      [0, 0, 0],
    ],
    [
      'as a match when a change for an earlier generation must be visible; made, it must be missed twice',
      { recentActions: [did(make, 1)] },
      [0, visibilityMs, 5 * second + visibilityMs],
    ],
    [
      'as a match at once after a change for this one',
      { recentActions: [did(make)] },
      [0, 0, 5 * second + visibilityMs],
    ],
    [
      'as absent at once after we took it away, and as a match after an earlier generation did',
      { recentActions: [did(take, 1)], verifiedAt: at - second },
      [0, visibilityMs, 0],
    ],
    ['as absent when it stood and was missed twice', { verifiedAt: at }, [0, 0, 5 * second + visibilityMs]],
    [
      'as absent counting from the first time it was missed',
      { verifiedAt: at - 60 * second, recentActions: [entry(missingEntry(2))] },
      [0, 0, visibilityMs],
    ],
    [
      'as absent counting anew when it was seen after it was missed',
      { verifiedAt: at + second, recentActions: [entry(missingEntry(2))] },
      [0, 0, 5 * second + visibilityMs],
    ],
    [
      'when the last of all reasons is over',
      { takenOverAt: at + 60 * second, verifiedAt: at, recentActions: [did(make, 1), entry(sentEntry(1))] },
      [60 * second + landsMs, visibilityMs, 60 * second + landsMs],
    ],
  ];
  it.each(table)('%s', (_title, work, expected) => {
    const since = (ms: number): number => (ms === 0 ? 0 : ms - at);
    const given = earlier(work);
    const found = [allLandedAt(given), matchProvenAt(given), absenceProvenAt(given, now)].map(since);
    expect(found).toEqual(expected);
  });

  it('of the holder before alone decides when a takeover is over', () => {
    const given = earlier({ takenOverAt: at, recentActions: [entry(sentEntry(1), at + 60 * second)] });
    expect(takeoverLandedAt(given)).toBe(at + landsMs);
    expect(allLandedAt(given)).toBe(at + 60 * second + landsMs);
  });
});
