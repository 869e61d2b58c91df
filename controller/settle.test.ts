import { describe, expect, it } from 'vitest';
import type { Action, Intent } from './contract.ts';
import { createOptions } from './options.ts';
import { makeFacts, makeLook, testNow } from './pass/pass-facts-testing.ts';
import type { FactsInput } from './pass/pass-facts-testing.ts';
import { sentEntry } from './pass/recent-actions.ts';
import { settlePass } from './settle.ts';
import type { Settle } from './store/rows.ts';

const options = createOptions().engine;
const account = { provider: 'gcs', account: 'p1' };
const remedy = [{ id: 'r', call: { proc: 'p', input: {} }, destructive: false, needs: 'human' }];
const update: Action = { type: 'patch', effect: 'update', risk: 'free', changes: [{ path: 'a', have: 1, want: 2 }] };
const create: Action = { type: 'make', effect: 'create', risk: 'free' };
const converged = { verdict: 'converged' } as const;

const settle = (input: FactsInput): Settle => settlePass(makeFacts(input), options);

/** "Ready=False/Creating Reconciling=True/Creating", or "unwritten". */
function said(written: Settle): string {
  const conditions = written.status?.conditions;
  return conditions === undefined
    ? 'unwritten'
    : conditions.map((one) => `${one.type}=${one.status}/${one.reason}`).join(' ');
}

/** The row as it stands after a settle, for the next pass. */
function after(input: FactsInput): FactsInput['row'] & object {
  const status = settle(input).status;
  if (status === undefined) throw new Error('nothing was written');
  return { ...input.row, ...status };
}

const readyRow = after({ outcome: { type: 'converged' }, look: makeLook(converged) });

describe('the table of outcomes', () => {
  const rows: [string, FactsInput, string, Partial<Settle>][] = [
    [
      'converged is Ready, due at the resync, and begins to count attempts anew',
      { outcome: { type: 'converged' }, look: makeLook(converged), work: { attempts: 4 } },
      'InSync=True/Current Ready=True/Available',
      { dueInMs: 600_000, priority: 'resync', attempts: 0, verified: true },
    ],
    [
      'acted is due at once and counts no attempt',
      {
        outcome: { type: 'acted', effect: 'create', steps: [create] },
        look: makeLook({ verdict: 'act', actions: [create] }),
        row: { observedGeneration: 1 },
        work: { attempts: 2 },
      },
      'InSync=False/Creating Ready=False/Creating Reconciling=True/Creating',
      { dueInMs: 0, attempts: 2, verified: false },
    ],
    [
      'long work that was started is AwaitingExternal',
      { outcome: { type: 'acted', effect: 'operation', steps: [] } },
      'Ready=False/AwaitingExternal Reconciling=True/AwaitingExternal',
      { dueInMs: 0 },
    ],
    [
      'wait keeps its own delay and counts no attempt',
      { outcome: { type: 'wait', reason: 'WaitingForProvider', message: 'm', retryAfterMs: 7_000 } },
      'Ready=False/WaitingForProvider Reconciling=True/WaitingForProvider',
      { dueInMs: 7_000, attempts: 0 },
    ],
    [
      'a change that is not visible yet is Verifying',
      { outcome: { type: 'verifying', retryAfterMs: 2_000 } },
      'Ready=False/Verifying Reconciling=True/Verifying',
      { dueInMs: 2_000 },
    ],
    [
      'a stale read after our own change does not unready what was verified',
      { outcome: { type: 'verifying', retryAfterMs: 2_000 }, row: readyRow },
      'unwritten',
      { dueInMs: 2_000 },
    ],
    [
      'a missing dependency is waited for by its topic',
      {
        outcome: {
          type: 'blocked',
          reason: 'DependencyNotReady',
          message: 'm',
          blockedBy: [{ ref: 'Bucket/b', condition: 'Ready', reason: 'DependencyNotReady' }],
        },
        dependencies: [{ ref: 'Bucket/b', exists: true, deleting: false, ready: false, stalled: false }],
        listeners: ['ref:Bucket/acme/b'],
      },
      'DependenciesReady=False/DependencyNotReady Ready=False/DependencyNotReady Reconciling=True/DependencyNotReady',
      { dueInMs: 600_000, listeners: ['ref:Bucket/acme/b'] },
    ],
    [
      'stalled listens to what clears it and is looked at slowly',
      { outcome: { type: 'stalled', reason: 'InsufficientFunds', message: 'm', clearsOn: ['funds:acme'], remedy } },
      'Ready=False/InsufficientFunds Stalled=True/InsufficientFunds',
      { dueInMs: 600_000, listeners: ['funds:acme'], attempts: 0 },
    ],
    [
      'rejected is Stalled with the reason of the provider’s table',
      {
        outcome: {
          type: 'rejected',
          reason: 'ProviderRejected',
          message: 'm',
          clearsOn: ['spec:uid-1'],
          remedy,
          providerCode: '400',
        },
      },
      'Ready=False/ProviderRejected Stalled=True/ProviderRejected',
      { dueInMs: 600_000 },
    ],
    [
      'an open breaker parks on its topic, and looks again if it closed meanwhile',
      { outcome: { type: 'unavailable', account } },
      'Ready=False/ProviderUnavailable Reconciling=True/ProviderUnavailable',
      { parkedOn: account, listeners: ['provider:gcs/p1'], attempts: 0 },
    ],
    [
      'a retryable error backs off and counts',
      { outcome: { type: 'retryable', message: 'm' }, row: { observedGeneration: 1 }, work: { attempts: 2 } },
      'Ready=False/BackingOff Reconciling=True/BackingOff',
      { dueInMs: 2_000, attempts: 3 },
    ],
    [
      'a new generation does not inherit the attempts of the old one',
      { outcome: { type: 'retryable', message: 'm' }, work: { attempts: 9 } },
      'Ready=False/BackingOff Reconciling=True/BackingOff',
      { dueInMs: 500, attempts: 1 },
    ],
    [
      'a refused credential is tried again at first',
      { outcome: { type: 'credential', stalled: false, reason: 'PermissionDenied', account } },
      'Ready=False/BackingOff Reconciling=True/BackingOff',
      { attempts: 1 },
    ],
    [
      'a dead credential is Stalled until it is replaced',
      { outcome: { type: 'credential', stalled: true, reason: 'AuthenticationFailed', account } },
      'Ready=False/AuthenticationFailed Stalled=True/AuthenticationFailed',
      { parkedOn: account, listeners: ['credential:gcs/p1', 'provider:gcs/p1'], attempts: 0 },
    ],
    [
      'a gate that opens by itself is due then',
      {
        outcome: {
          type: 'refused',
          as: 'DeletionBlocked',
          reason: 'InUndoWindow',
          message: 'm',
          clearsOn: ['spec:uid-1'],
          remedy,
          retryAfterMs: 60_000,
        },
        row: { deletedAt: testNow },
      },
      'DeletionBlocked=True/InUndoWindow Ready=False/Deleting',
      { dueInMs: 60_000 },
    ],
    [
      'observe-only says that it drifted and is neither Reconciling nor Stalled',
      {
        outcome: {
          type: 'refused',
          as: 'Observed',
          reason: 'DriftDetected',
          message: 'm',
          clearsOn: [],
          remedy,
          retryAfterMs: null,
        },
        look: makeLook({ verdict: 'act', actions: [update] }),
      },
      'InSync=False/DriftDetected Ready=False/DriftDetected',
      { dueInMs: 600_000, priority: 'resync' },
    ],
    [
      'throttled changes nothing at first',
      { outcome: { type: 'throttled', retryAfterMs: 3_000 } },
      'unwritten',
      { dueInMs: 3_000, attempts: 0 },
    ],
    [
      'throttled for more than 30 s says so',
      { outcome: { type: 'throttled', retryAfterMs: 3_000 }, row: { updatedAt: testNow - 31_000 } },
      'Ready=False/RateLimited Reconciling=True/RateLimited',
      { dueInMs: 3_000 },
    ],
    [
      'throttled never unreadies a row that is Ready',
      { outcome: { type: 'throttled', retryAfterMs: 3_000 }, row: { ...readyRow, updatedAt: testNow - 31_000 } },
      'unwritten',
      { dueInMs: 3_000 },
    ],
    ['superseded writes nothing and is due at once', { outcome: { type: 'superseded' } }, 'unwritten', { dueInMs: 0 }],
    [
      'unknown is not failed: Ready is Unknown, and it is looked at again after 10 s',
      { outcome: { type: 'unknown', reason: 'CreateOutcomeUnknown', message: 'm', retryAfterMs: null } },
      'Ready=Unknown/CreateOutcomeUnknown Reconciling=True/CreateOutcomeUnknown',
      { dueInMs: 10_000, attempts: 0 },
    ],
    [
      'a bug is Stalled until another build runs',
      { outcome: { type: 'bug', reason: 'InternalError', message: 'm' } },
      'Ready=False/InternalError Stalled=True/InternalError',
      { dueInMs: 60_000, attempts: 1, listeners: ['engine'] },
    ],
    [
      'a finished row is due when it is to be removed, and listens to nothing',
      { outcome: { type: 'finished', removeInMs: 9_000 }, stored: ['ref:Bucket/acme/b'] },
      'unwritten',
      { dueInMs: 9_000, listeners: [] },
    ],
  ];

  it.each(rows)('%s', (...[, input, conditions, expected]) => {
    const written = settle(input);
    expect(said(written)).toBe(conditions);
    expect(written).toMatchObject(expected);
  });
});

describe('what a settle writes', () => {
  it('writes nothing to resources when a pass finds what it found before', () => {
    const again = settle({ outcome: { type: 'converged' }, look: makeLook(converged), row: readyRow });
    expect(again).not.toHaveProperty('status');
    expect(again).not.toHaveProperty('listeners');
    expect(again).not.toHaveProperty('pass');
    expect(again.fires).toEqual([]);
  });

  it('journals the first pass, and passes that changed or did something', () => {
    const first = settle({ outcome: { type: 'throttled', retryAfterMs: 1 }, work: { passedAt: null } });
    const did = settle({ outcome: { type: 'superseded' }, acknowledged: ['d'] });
    expect([first.pass?.outcome, did.pass?.outcome]).toEqual(['throttled', 'superseded']);
  });

  it('keeps the digest of an observation that is too large, and not the observation', () => {
    const observed = 'x'.repeat(70_000);
    const { pass } = settle({ outcome: { type: 'converged' }, look: makeLook(converged, { observed }) });
    expect(pass?.observed).toBeNull();
    expect(pass?.observedDigest).toMatch(/^[0-9a-f]{32}$/);
  });

  it('lays reported status over what is stored and clears nothing that a report leaves out', () => {
    const look = makeLook(converged, { report: { status: { seen: 2 }, facts: [] } });
    const { status } = settle({ outcome: { type: 'converged' }, look, row: { status: { kept: 1, seen: 1 } } });
    expect(status?.status).toEqual({ kept: 1, seen: 2 });
  });

  it('makes provider text safe for the database', () => {
    const look = makeLook(converged, { report: { status: { text: 'a\u0000\uD800' }, facts: [] } });
    expect(settle({ outcome: { type: 'converged' }, look }).status?.status).toEqual({ text: 'a\uFFFD\uFFFD' });
  });

  it('fires the topic of the row when its Ready changes, and not again', () => {
    expect(settle({ outcome: { type: 'converged' }, look: makeLook(converged) }).fires).toEqual(['ref:Note/acme/one']);
  });

  it('forgets no topic when the pass ended before it had looked', () => {
    const written = settle({
      outcome: { type: 'retryable', message: 'm' },
      stored: ['ref:Bucket/acme/b'],
      listeners: ['ref:Bucket/acme/c'],
    });
    expect(written.listeners).toEqual(['ref:Bucket/acme/b', 'ref:Bucket/acme/c']);
  });

  it('keeps facts and their generation when nothing was observed', () => {
    const fact = { type: 'Written', status: 'True', reason: 'Current', message: 'm' } as const;
    const row = after({
      outcome: { type: 'converged' },
      look: makeLook(converged, { report: { status: {}, facts: [fact] } }),
    });
    const edited = { ...row, generation: 2 };
    const { status } = settle({ outcome: { type: 'retryable', message: 'm' }, row: edited });
    const generations = (status?.conditions ?? []).map((one) => [one.type, one.observedGeneration]);
    expect(generations).toEqual([
      ['InSync', 1],
      ['Ready', 2],
      ['Reconciling', 2],
      ['Written', 1],
    ]);
  });

  it('lets no kind write the engine’s conditions', () => {
    const fact = { type: 'Ready', status: 'False', reason: 'Mine', message: 'm' } as const;
    const look = makeLook(converged, { report: { status: {}, facts: [fact] } });
    expect(said(settle({ outcome: { type: 'converged' }, look }))).toBe('InSync=True/Current Ready=True/Available');
  });

  it('remembers acknowledged actions even when the pass was superseded', () => {
    const written = settle({ outcome: { type: 'superseded' }, acknowledged: ['d'], endedAt: testNow + 5 });
    expect(written.recentActions).toEqual([{ digest: 'd', acknowledgedAt: testNow + 5, count: 1 }]);
    expect(written).not.toHaveProperty('status');
  });

  it('shows the code of a refusal that is tried again as evidence, beside when', () => {
    const { status } = settle({ outcome: { type: 'retryable', message: 'm', providerCode: '503' } });
    const reconciling = status?.conditions.find((one) => one.type === 'Reconciling');
    expect(reconciling).toMatchObject({ reason: 'BackingOff', evidence: { pass: 7, providerCode: '503' } });
  });

  it('sets materialized_at once', () => {
    const seen = { outcome: { type: 'converged' }, look: makeLook(converged) } as const;
    expect(settle(seen).materialized).toBe(true);
    expect(settle({ ...seen, work: { materializedAt: 5 } }).materialized).toBe(false);
  });
});

describe('InSync', () => {
  const act = { outcome: { type: 'acted', effect: 'update', steps: [update] } } as const;
  const look = makeLook({ verdict: 'act', actions: [update] });

  it('is drift when this generation was in sync before, with the difference as evidence', () => {
    const { status } = settle({ ...act, look, row: readyRow });
    const inSync = status?.conditions.find((one) => one.type === 'InSync');
    expect(inSync).toMatchObject({ reason: 'DriftDetected', evidence: { pass: 7, diff: update.changes } });
  });

  it('is Updating when the generation is new', () => {
    expect(said(settle({ ...act, look, row: { ...readyRow, generation: 2 } }))).toContain('InSync=False/Updating');
  });

  it('stays as it is while waiting', () => {
    const wait = { verdict: 'wait', reason: 'WaitingForProvider', message: 'm', retryAfterMs: 1 } as const;
    const written = settle({ outcome: { type: 'wait', ...wait }, look: makeLook(wait), row: readyRow });
    expect(said(written)).toBe(
      'InSync=True/Current Ready=False/WaitingForProvider Reconciling=True/WaitingForProvider',
    );
  });
});

describe('takeover', () => {
  const outcome = { type: 'converged' } as const;
  const look = makeLook(converged);

  it('makes Ready Unknown / Verifying until the old holder’s calls must have landed, and looks then', () => {
    const written = settle({ outcome, look, work: { takenOverAt: testNow - 10_000 } });
    expect(said(written)).toBe('InSync=True/Current Ready=Unknown/Verifying Reconciling=True/Verifying');
    expect(written).toMatchObject({ dueInMs: 20_000, clearTakenOver: false, verified: false });
  });

  it('takes a Ready away that would have been left standing', () => {
    const written = settle({
      outcome: { type: 'throttled', retryAfterMs: 5_000 },
      row: readyRow,
      work: { takenOverAt: testNow },
    });
    expect(said(written)).toContain('Ready=Unknown/Verifying');
  });

  it('is over at the first settle whose claim began after it', () => {
    const written = settle({ outcome, look, work: { takenOverAt: testNow - 30_000 } });
    expect(said(written)).toBe('InSync=True/Current Ready=True/Available');
    expect(written.clearTakenOver).toBe(true);
  });
});

describe('a change of an earlier generation whose answer was lost', () => {
  const outcome = { type: 'converged' } as const;
  const look = makeLook(converged);
  const sent = (generation: number, acknowledgedAt: number) => ({
    recentActions: [{ digest: sentEntry(generation), acknowledgedAt, count: 1 }],
  });
  const row = { generation: 2 };

  it('leaves Ready Unknown / Verifying while it may still land over what is wanted now', () => {
    const written = settle({ outcome, look, row, work: sent(1, testNow - 10_000) });
    expect(said(written)).toContain('Ready=Unknown/Verifying');
    expect(written).toMatchObject({ dueInMs: 20_000, verified: false });
  });

  it('is forgotten after that, and does not count if it was of this generation', () => {
    expect(said(settle({ outcome, look, row, work: sent(1, testNow - 30_000) }))).toContain('Ready=True');
    expect(said(settle({ outcome, look, row, work: sent(2, testNow) }))).toContain('Ready=True');
  });
});

describe('suspended', () => {
  const spec = { suspend: { reason: 'holiday', until: new Date(testNow + 60_000).toISOString() } };

  it('is shown beside a Ready row, and the row is looked at when it ends', () => {
    const written = settle({ outcome: { type: 'converged' }, look: makeLook(converged), row: { spec } });
    expect(said(written)).toBe('InSync=True/Current Ready=True/Available Suspended=True/SuspendedByUser');
    expect(written.dueInMs).toBe(60_000);
  });

  it('is gone when its end has come', () => {
    const now = testNow + 60_000;
    const written = settle({ outcome: { type: 'converged' }, look: makeLook(converged), row: { spec }, now });
    expect(said(written)).toBe('InSync=True/Current Ready=True/Available');
  });
});

describe('an open send', () => {
  const outcome = { type: 'unavailable', account } as const;
  const unknown = { type: 'unknown', reason: 'SendOutcomeUnknown', message: '', retryAfterMs: 10_000 } as const;
  const review = (askAt: number) => {
    const open = { intent: {} as Intent, outcome: unknown, mayResend: false, askAt };
    return { changes: [], intents: [], decided: [], open, contradiction: null };
  };

  it('is asked about in time, however long its provider is out', () => {
    expect(settle({ outcome }).dueInMs).toBeGreaterThan(400_000);
    expect(settle({ outcome, review: review(testNow + 90_000) }).dueInMs).toBe(90_000);
  });
});

describe('deleting', () => {
  const row = { deletedAt: testNow };

  it('says Deleting whatever it waits for', () => {
    const outcome = { type: 'wait', reason: 'WaitingForPropagation', message: 'm', retryAfterMs: 5 } as const;
    expect(said(settle({ outcome, row }))).toBe('Ready=False/Deleting Reconciling=True/WaitingForPropagation');
  });

  it('is blocked, not stalled, by what a person decides', () => {
    const outcome = { type: 'stalled', reason: 'NotEmpty', message: 'm', clearsOn: ['spec:uid-1'], remedy } as const;
    expect(said(settle({ outcome, row }))).toBe('DeletionBlocked=True/NotEmpty Ready=False/Deleting');
  });

  it('stays Unknown when nobody knows', () => {
    const outcome = { type: 'unknown', reason: 'DeleteOutcomeUnknown', message: 'm', retryAfterMs: 5 } as const;
    expect(said(settle({ outcome, row }))).toContain('Ready=Unknown/DeleteOutcomeUnknown');
  });
});
