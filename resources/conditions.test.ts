import { describe, expect, test } from 'vitest';
import type { ConditionDraft } from './condition.ts';
import { mergeConditions, messageCodePointsMax, projectConditions, storedReady } from './conditions.ts';
import { makeRow } from './testing.ts';

const ready: ConditionDraft = {
  type: 'Ready',
  status: 'True',
  reason: 'Available',
  message: 'The bucket is in effect.',
};
const notReady: ConditionDraft = {
  type: 'Ready',
  status: 'False',
  reason: 'Creating',
  message: 'Creating the bucket.',
};
const at = (now: number, generation = 1) => ({ generation, now });

describe('mergeConditions', () => {
  test('answers the same array when a pass sees the same, whatever the time', () => {
    const first = mergeConditions([], [ready], at(1000));
    expect(mergeConditions(first, [{ ...ready }], at(99_000))).toBe(first);
  });

  test('moves lastTransitionTime on status only, and lastChangeTime with reason and message too', () => {
    const first = mergeConditions([], [notReady], at(1000));
    const second = mergeConditions(first, [{ ...notReady, message: 'Setting its policy.' }], at(2000));
    const third = mergeConditions(second, [ready], at(3000));
    expect(second[0]).toMatchObject({ lastTransitionTime: iso(1000), lastChangeTime: iso(2000) });
    expect(third[0]).toMatchObject({ lastTransitionTime: iso(3000), lastChangeTime: iso(3000) });
  });

  test('sorts by type, drops what is no longer drafted, and adds class and actor', () => {
    const stalled: ConditionDraft = {
      type: 'Stalled',
      status: 'True',
      reason: 'NeedsDecision',
      message: 'Unknown.',
      clearsOn: ['x'],
      remedy: [],
    };
    const merged = mergeConditions([], [stalled, { ...ready, status: 'False', reason: 'NeedsDecision' }], at(1));
    expect(merged.map((condition) => [condition.type, condition.class, condition.actor])).toEqual([
      ['Ready', 'unknown', 'operator'],
      ['Stalled', 'unknown', 'operator'],
    ]);
    expect(mergeConditions(merged, [ready], at(2)).map((condition) => condition.type)).toEqual(['Ready']);
  });

  test('keeps the evidence of the first pass that saw a difference, until the difference is another', () => {
    const drift = (pass: number, have: string): ConditionDraft => ({
      type: 'InSync',
      status: 'False',
      reason: 'DriftDetected',
      message: 'Differs.',
      evidence: { pass, diff: [{ path: 'labels', have, want: 'b' }] },
    });
    const first = mergeConditions([], [drift(7, 'a')], at(1));
    expect(mergeConditions(first, [drift(8, 'a')], at(2))).toBe(first);
    expect(mergeConditions(first, [drift(9, 'c')], at(3))[0]?.evidence?.pass).toBe(9);
  });

  test('cuts messages on a code point and stores nothing that breaks a batch', () => {
    const [condition] = mergeConditions([], [{ ...ready, message: `${'😀'.repeat(400)}\u0000` }], at(1));
    expect(Array.from(condition?.message ?? '')).toHaveLength(messageCodePointsMax);
    expect(condition?.message.isWellFormed()).toBe(true);
  });
});

describe('projection', () => {
  const stored = mergeConditions(
    [],
    [ready, { type: 'InSync', status: 'True', reason: 'Current', message: 'Equal.' }],
    at(1000, 1),
  );

  test('never shows Ready=True or Stalled for a generation that was not observed', () => {
    const stalled = mergeConditions(
      stored,
      [notReady, { type: 'Stalled', status: 'True', reason: 'NeedsDecision', message: 'x' }],
      at(1, 1),
    );
    for (const conditions of [stored, stalled]) {
      const row = makeRow({ generation: 2, observedGeneration: 1, conditions, updatedAt: 5000 });
      const shown = projectConditions({ row, work: null, owner: null });
      expect(shown.find((condition) => condition.type === 'Ready')).toMatchObject({
        status: 'Unknown',
        reason: 'NotYetReconciled',
      });
      expect(shown.find((condition) => condition.type === 'Reconciling')).toMatchObject({
        status: 'True',
        reason: 'NotYetReconciled',
      });
      expect(shown.some((condition) => condition.type === 'Stalled')).toBe(false);
    }
  });

  test('shows Ready from the first transaction, before any pass', () => {
    const shown = projectConditions({ row: makeRow({}), work: null, owner: null });
    expect(shown.map((condition) => `${condition.type}=${condition.status}`)).toEqual([
      'Ready=Unknown',
      'Reconciling=True',
    ]);
  });

  test('joins verifiedAt to Ready and retry to Reconciling from work', () => {
    const row = makeRow({
      observedGeneration: 1,
      conditions: mergeConditions([], [notReady, { ...notReady, type: 'Reconciling', status: 'True' }], at(1)),
    });
    const shown = projectConditions({ row, work: { attempts: 3, dueAt: 90_000, verifiedAt: 60_000 }, owner: null });
    expect(shown[0]).toMatchObject({ type: 'Ready', verifiedAt: iso(60_000) });
    expect(shown[1]).toMatchObject({ type: 'Reconciling', retry: { attempt: 3, nextAt: iso(90_000), deadline: null } });
  });

  test('keeps the stored Ready for dependents while an edit is in progress', () => {
    expect(storedReady(makeRow({ generation: 9, observedGeneration: 1, conditions: stored }))).toBe(true);
  });
});

const iso = (ms: number): string => new Date(ms).toISOString();
