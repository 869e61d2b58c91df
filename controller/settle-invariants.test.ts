import fc from 'fast-check';
import '#test/support/seeds.ts';
import { describe, expect, it } from 'vitest';
import type { Condition } from '#resources/condition.ts';
import { makeRow } from '#resources/testing.ts';
import type { Action } from './contract.ts';
import { createOptions } from './options.ts';
import type { Outcome } from './pass/outcome.ts';
import { makeFacts, makeLook, testNow } from './pass/pass-facts-testing.ts';
import type { FactsInput } from './pass/pass-facts-testing.ts';
import type { PassFacts } from './pass/pass-facts.ts';
import { settlePass } from './settle.ts';
import type { Settle } from './store/rows.ts';

const options = createOptions().engine;
const account = { provider: 'gcs', account: 'p1' };
const update: Action = { type: 'patch', effect: 'update', risk: 'free', changes: [{ path: 'a', have: 1, want: 2 }] };
const converged = { verdict: 'converged' } as const;
const settle = (input: FactsInput): Settle => settlePass(makeFacts(input), options);

describe('invariants of conditions, for any outcome on any stored row', () => {
  const text = fc.constantFrom('BackingOff', 'NotEmpty', 'ApprovalRequired', 'CreateOutcomeUnknown', 'DriftLoop');
  const outcomes: fc.Arbitrary<Outcome> = fc.oneof(
    fc.constant<Outcome>({ type: 'converged' }),
    fc.constant<Outcome>({ type: 'acted', effect: 'update', steps: [update] }),
    fc.constant<Outcome>({ type: 'unavailable', account }),
    fc.constant<Outcome>({ type: 'throttled', retryAfterMs: 1_000 }),
    fc.constant<Outcome>({ type: 'superseded' }),
    fc.constant<Outcome>({ type: 'bug', reason: 'InternalError', message: 'm' }),
    fc.boolean().map<Outcome>((stalled) => ({ type: 'credential', stalled, reason: 'PermissionDenied', account })),
    text.map<Outcome>((reason) => ({ type: 'stalled', reason, message: 'm', clearsOn: [], remedy: [] })),
    text.map<Outcome>((reason) => ({ type: 'wait', reason, message: 'm', retryAfterMs: 5 })),
    text.map<Outcome>((reason) => ({ type: 'unknown', reason, message: 'm', retryAfterMs: null })),
    fc.constantFrom('Suspended', 'DeletionBlocked', 'Stalled', 'Observed').map<Outcome>((as) => ({
      type: 'refused',
      as,
      reason: 'ApprovalRequired',
      message: 'm',
      clearsOn: [],
      remedy: [],
      retryAfterMs: null,
    })),
  );
  const passes = fc.array(fc.tuple(outcomes, fc.boolean(), fc.option(fc.constant(testNow))), {
    minLength: 1,
    maxLength: 6,
  });

  const factsOf = (outcome: Outcome, seen: boolean, row: Partial<PassFacts['passRow']['row']>): FactsInput => ({
    outcome,
    row,
    look: seen
      ? makeLook(outcome.type === 'converged' ? converged : { verdict: 'act', actions: [update] })
      : outcome.type === 'converged'
        ? makeLook(converged)
        : null,
  });

  it('never says Reconciling and Stalled both, never Ready out of sync, and always how a Stalled is cleared', () => {
    expect.hasAssertions();
    fc.assert(
      fc.property(passes, (sequence) => {
        let row = makeRow({ createdAt: testNow, updatedAt: testNow });
        for (const [outcome, seen, deletedAt] of sequence) {
          row = { ...row, deletedAt: row.deletedAt ?? deletedAt };
          const written = settle(factsOf(outcome, seen, row));
          row = { ...row, ...written.status };
          expect(broken(row.conditions)).toEqual([]);
        }
      }),
    );
  });

  it('writes nothing the second time', () => {
    expect.hasAssertions();
    fc.assert(
      fc.property(outcomes, fc.boolean(), (outcome, seen) => {
        const first = settle(factsOf(outcome, seen, {}));
        const row = { ...first.status };
        const again = settle({ ...factsOf(outcome, seen, row), stored: first.listeners ?? [] });
        const isDrift = outcome.type === 'acted';
        expect(again.status === undefined || isDrift).toBe(true);
        expect(again.listeners).toBeUndefined();
      }),
    );
  });
});

/** What the conditions break of the invariants of conditions.md. */
function broken(conditions: readonly Condition[]): string[] {
  const find = (type: string): Condition | undefined =>
    conditions.find((one) => one.type === type && one.status === 'True');
  const problems: string[] = [];
  if (find('Reconciling') !== undefined && find('Stalled') !== undefined) problems.push('Reconciling and Stalled');
  const inSync = conditions.find((one) => one.type === 'InSync');
  if (find('Ready') !== undefined && inSync?.status === 'False') problems.push('Ready and out of sync');
  for (const type of ['Stalled', 'DeletionBlocked', 'Suspended']) {
    const standing = find(type);
    if (standing !== undefined && !standing.clearsOn?.length) problems.push(`${type} without topic`);
    if (standing !== undefined && !standing.remedy?.length) problems.push(`${type} without remedy`);
  }
  const types = conditions.map((one) => one.type);
  if (types.join() !== types.toSorted().join()) problems.push('not sorted');
  return problems;
}
