import { describe, expect, it } from 'vitest';
import { human, makeRow } from '#resources/testing.ts';
import type { Action, Intent } from '#controller/contract.ts';
import {
  contradicted,
  intentArgs,
  intentStep,
  openUnseen,
  reviewIntents,
  staleAnnounced,
  unknownReasonOf,
} from './intents.ts';
import type { IntentFacts } from './intents.ts';
import { createOptions } from '#controller/options.ts';
import type { Decision } from '#controller/store/rows.ts';

const options = createOptions().engine;
const sentAt = 1_000_000;
const giveUpAt = sentAt + 30_000;
const visibilityMs = 10_000;
const second = 1_000;

const action: Action = { type: 'make', effect: 'create', risk: 'free', intent: 'create:1' };
const intent = (more: Partial<Intent> = {}): Intent => ({
  effect: 'create:1',
  attempt: 1,
  nonce: 'n1',
  state: 'sending',
  args: intentArgs(action),
  result: null,
  announcedAt: sentAt - 5,
  sentAt,
  giveUpAt,
  answeredAt: null,
  contradicts: false,
  ...more,
});
const decision = (outcome: Decision['outcome'], at = giveUpAt + 1): Decision => ({
  effect: 'create:1',
  outcome,
  evidence: 'looked',
  by: human,
  at,
});

function review(now: number, more: Partial<IntentFacts> = {}) {
  return reviewIntents({
    row: makeRow({}),
    intents: [intent()],
    decisions: [],
    now,
    observedAsOf: now,
    visibilityMs,
    resolve: () => 'undecided',
    options,
    ...more,
  });
}
/** "unknown after 10000 ms", "stalled", or "closed as done". */
function summary(found: ReturnType<typeof review>): string {
  if (found.open === null) return `closed as ${found.intents[0]?.state}`;
  const { outcome } = found.open;
  return outcome.type === 'unknown' ? `${outcome.reason} for ${outcome.retryAfterMs} ms` : outcome.type;
}

describe('an open send', () => {
  const table: [string, ReturnType<typeof review>, string][] = [
    ['is left alone while its answer may still come', review(sentAt + 5 * second), 'CreateOutcomeUnknown for 25000 ms'],
    ['counts as done at once when it is seen', review(sentAt, { resolve: () => 'done' }), 'closed as done'],
    [
      'is not absent because nothing is seen before it can be visible',
      review(giveUpAt + visibilityMs - 1, { resolve: () => 'not-done' }),
      'CreateOutcomeUnknown for 10000 ms',
    ],
    [
      'is retired when nothing is seen after it must be visible',
      review(giveUpAt + visibilityMs, { resolve: () => 'not-done' }),
      'closed as retired',
    ],
    [
      'is not absent by an older listing',
      review(giveUpAt + 60 * second, { resolve: () => 'not-done', observedAsOf: giveUpAt + visibilityMs - 1 }),
      'CreateOutcomeUnknown for 60000 ms',
    ],
    ['is looked at after 10 s', review(giveUpAt + 1), 'CreateOutcomeUnknown for 10000 ms'],
    ['then twice as late', review(giveUpAt + 20 * second), 'CreateOutcomeUnknown for 20000 ms'],
    ['at most every 60 s', review(giveUpAt + 300 * second), 'CreateOutcomeUnknown for 60000 ms'],
    [
      'and at the latest when a person is to be asked',
      review(giveUpAt + 590 * second),
      'CreateOutcomeUnknown for 10000 ms',
    ],
    ['waits for a person after ten minutes', review(giveUpAt + 600 * second), 'stalled'],
    ['may still be resolved after that', review(giveUpAt + 900 * second, { resolve: () => 'done' }), 'closed as done'],
    [
      'is closed by a person who says that it happened',
      review(giveUpAt + 900 * second, { decisions: [decision('happened')] }),
      'closed as done',
    ],
    [
      'is retired by a person who says that it did not',
      review(giveUpAt + 900 * second, { decisions: [decision('did_not')] }),
      'closed as retired',
    ],
    [
      'is not closed by a decision while its answer may still come',
      review(sentAt + second, { decisions: [decision('did_not', sentAt + 1)] }),
      'CreateOutcomeUnknown for 29000 ms',
    ],
    [
      'is not closed by a decision about an earlier attempt',
      review(giveUpAt + second, { decisions: [decision('did_not', sentAt - 1)] }),
      'CreateOutcomeUnknown for 10000 ms',
    ],
    [
      'is what the observation says, whatever a person said',
      review(giveUpAt + 900 * second, { decisions: [decision('happened')], resolve: () => 'not-done' }),
      'closed as retired',
    ],
  ];
  it.each(table)('%s', (_title, found, expected) => {
    expect(summary(found)).toBe(expected);
  });

  it('found past its deadline is written down as unknown, once', () => {
    expect(review(giveUpAt).changes).toEqual([{ nonce: 'n1', state: 'unknown' }]);
    expect(review(giveUpAt, { intents: [intent({ state: 'unknown' })] }).changes).toEqual([]);
  });

  it('uses a decision up when it is closed, and keeps it while it is open', () => {
    expect(review(giveUpAt, { decisions: [decision('did_not')] }).decided).toEqual(['create:1']);
    expect(review(sentAt, { decisions: [decision('did_not')] }).decided).toEqual([]);
  });

  it('asks a person with two calls that can be made as they stand', () => {
    const { open } = review(giveUpAt + 600 * second);
    expect(open?.outcome).toMatchObject({
      reason: 'NeedsDecision',
      clearsOn: ['decision:uid-1'],
      remedy: [
        { call: { proc: 'decisions.resolve', input: { effect: 'create:1', outcome: 'happened' } } },
        { call: { proc: 'decisions.resolve', input: { effect: 'create:1', outcome: 'did_not' } } },
      ],
    });
  });
});

describe('an open send that nobody can look for', () => {
  const unseen = (now: number, intents = [intent()], decisions: Decision[] = []) =>
    openUnseen({ row: makeRow({}), intents, decisions, now, options });

  it('is asked about ten minutes after it was given up, as if the look had told nothing', () => {
    expect(unseen(giveUpAt)?.askAt).toBe(giveUpAt + 600 * second);
    expect(unseen(giveUpAt + 599 * second)?.outcome.type).toBe('unknown');
    expect(unseen(giveUpAt + 600 * second)?.outcome).toMatchObject({ type: 'stalled', reason: 'NeedsDecision' });
  });

  it('is asked about no more once a person has spoken of this attempt', () => {
    expect(unseen(giveUpAt + 900 * second, [intent()], [decision('did_not')])).toBeNull();
    expect(unseen(giveUpAt + 900 * second, [intent()], [decision('did_not', sentAt - 1)])?.outcome.type).toBe(
      'stalled',
    );
  });

  it('is not there once it is closed', () => {
    expect(unseen(giveUpAt + 600 * second, [intent({ state: 'done' }), intent({ state: 'retired' })])).toBeNull();
  });
});

describe('a send that took effect after it was given up', () => {
  const answeredAt = giveUpAt + 900 * second;
  const twice = intent({ state: 'done', contradicts: true, answeredAt });
  const told = (more: Partial<IntentFacts>) => {
    const { contradiction, changes, intents, decided } = review(answeredAt + 60 * second, {
      intents: [twice],
      ...more,
    });
    return {
      asks: contradiction !== null,
      changes,
      state: intents[0]?.state,
      contradicts: intents[0]?.contradicts,
      decided,
    };
  };
  const asks = { asks: true, changes: [], state: 'done', contradicts: true };
  const closed = (state: 'done' | 'retired') => ({
    asks: false,
    changes: [{ nonce: 'n1', state, contradicted: true }],
    state,
    contradicts: false,
  });
  const table: [string, Partial<IntentFacts>, object][] = [
    ['asks a person, whatever is seen', { resolve: () => 'done' }, { ...asks, decided: [] }],
    [
      'still asks when somebody decided before the answer came',
      { decisions: [decision('did_not', answeredAt - 1)] },
      { ...asks, decided: ['create:1'] },
    ],
    [
      'stands once a person has said so',
      { decisions: [decision('happened', answeredAt + 1)] },
      { ...closed('done'), decided: ['create:1'] },
    ],
    [
      'stands even where nothing is seen: only a person lets it be sent again',
      { decisions: [decision('happened', answeredAt + 1)], resolve: () => 'not-done' },
      { ...closed('done'), decided: ['create:1'] },
    ],
    [
      'is retired by a person who took it away',
      { decisions: [decision('did_not', answeredAt + 1)], resolve: () => 'not-done' },
      { ...closed('retired'), decided: ['create:1'] },
    ],
    [
      'is not retired while it is seen',
      { decisions: [decision('did_not', answeredAt + 1)], resolve: () => 'done' },
      { ...closed('done'), decided: ['create:1'] },
    ],
  ];
  it.each(table)('%s', (_title, more, expected) => {
    expect(told(more)).toEqual(expected);
  });

  describe('beside another attempt that was done', () => {
    const other = intent({ nonce: 'n2', attempt: 2, state: 'done', answeredAt: answeredAt - 10 * second });
    const elsewhere = intent({ nonce: 'n3', effect: 'renew:1', state: 'done', answeredAt });
    const changesOf = (more: Partial<IntentFacts>) =>
      review(answeredAt + 60 * second, { intents: [twice, other, elsewhere], ...more }).changes.map(
        ({ nonce, state }) => `${nonce} ${state}`,
      );
    const since = (outcome: Decision['outcome']) => ({ decisions: [decision(outcome, answeredAt + 1)] });
    const cases: [string, Partial<IntentFacts>, string[]][] = [
      ['both are retired by a person who took all of it away', since('did_not'), ['n1 retired', 'n2 retired']],
      ['both stand once a person has said so', since('happened'), ['n1 done']],
      ['both stand while either is seen', { ...since('did_not'), resolve: () => 'done' }, ['n1 done']],
      ['both stand while nobody has said anything', {}, []],
      [
        'one that was answered after the word stands: it was not known of',
        { ...since('did_not'), intents: [twice, { ...other, answeredAt: answeredAt + 2 }] },
        ['n1 retired'],
      ],
    ];
    it.each(cases)('%s', (_title, more, expected) => {
      expect(changesOf(more)).toEqual(expected);
    });

    it('is sent anew once both are retired', () => {
      const found = review(answeredAt + 60 * second, { intents: [twice, other], ...since('did_not') });
      expect(intentStep('create:1', found)).toEqual({ step: 'send', resend: null });
    });
  });

  it('says so with two calls that can be made as they stand, in a message that is kept whole', () => {
    const { contradiction } = review(answeredAt, { intents: [twice] });
    expect(contradiction).toMatchObject({
      type: 'stalled',
      reason: 'InvariantViolated',
      clearsOn: ['decision:uid-1'],
      remedy: [
        { call: { proc: 'decisions.resolve', input: { effect: 'create:1', outcome: 'happened' } } },
        { call: { proc: 'decisions.resolve', input: { effect: 'create:1', outcome: 'did_not' } } },
      ],
    });
    expect(contradiction?.type === 'stalled' && contradiction.message.length).toBeLessThanOrEqual(300);
  });
});

describe('a guarded send whose guard lapses', () => {
  const guarded = { ...action, guardedForMs: 3_000 * second };
  const intents = [intent({ args: intentArgs(guarded) })];

  it('may be sent again under its own intent inside its guard', () => {
    const found = review(giveUpAt + 60 * second, { intents });
    expect(found.open?.mayResend).toBe(true);
    expect(intentStep('create:1', found)).toMatchObject({ step: 'send', resend: { nonce: 'n1' } });
    expect(intentStep('other:1', found)).toMatchObject({ step: 'wait' });
  });

  it('is not sent again while the first answer may still come', () => {
    expect(review(giveUpAt - 1, { intents }).open?.mayResend).toBe(false);
  });

  it('waits for a person when the guard has lapsed, and not before', () => {
    expect(summary(review(sentAt + 2_999 * second, { intents }))).toBe('CreateOutcomeUnknown for 1000 ms');
    const found = review(sentAt + 3_000 * second, { intents });
    expect([summary(found), found.open?.mayResend]).toEqual(['stalled', false]);
  });
});

describe('an action with an intent', () => {
  it('is never sent again once it is done', () => {
    const found = review(giveUpAt, { intents: [intent({ state: 'done' })] });
    expect(intentStep('create:1', found)).toMatchObject({ step: 'done' });
  });

  it('is sent anew after a refusal', () => {
    const found = review(giveUpAt, { intents: [intent({ state: 'refused' })] });
    expect(intentStep('create:1', found)).toEqual({ step: 'send', resend: null });
  });

  it('waits while another one is open', () => {
    expect(intentStep('renew:1', review(giveUpAt))).toMatchObject({ step: 'wait', outcome: { type: 'unknown' } });
  });

  it('is dropped when it was announced and the plan no longer asks for it', () => {
    const announced = [intent({ state: 'announced' }), intent({ state: 'announced', effect: 'b', nonce: 'n2' })];
    expect(staleAnnounced(announced, new Set(['b']))).toEqual(['n1']);
  });

  it('is recorded with its arguments and without what was observed', () => {
    const seen = { ...action, changes: [{ path: 'a', have: 1, want: 2 }], guard: { etag: 'e' } };
    expect(intentArgs(seen)).toEqual(intentArgs(action));
  });

  it('that took effect after it was retired is found', () => {
    expect(contradicted([intent({ state: 'retired' })])).toBeNull();
    expect(contradicted([intent({ state: 'retired', contradicts: true })])?.nonce).toBe('n1');
  });

  it.each([
    [{ ...action, risk: 'spending' } as const, 'PurchaseOutcomeUnknown'],
    [{ ...action, type: 'send' }, 'SendOutcomeUnknown'],
    [{ ...action, effect: 'release' } as const, 'DeleteOutcomeUnknown'],
    [{ ...action, effect: 'update' } as const, 'UpdateOutcomeUnknown'],
  ])('names what is unknown by what it does: %#', (unknown, reason) => {
    expect(unknownReasonOf(unknown)).toBe(reason);
  });
});
