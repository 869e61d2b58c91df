import { makeRow, testKinds } from '#resources/testing.ts';
import type { ResourceRow } from '#resources/resource.ts';
import type { Plan } from '#controller/contract.ts';
import type { Outcome } from './outcome.ts';
import type { Look, PassFacts } from './pass-facts.ts';
import type { WorkRow } from '#controller/store/rows.ts';

/** Builders for the tables of settle and verdict: a pass over a Note, with overrides. For tests only. */
export const testNow = Date.UTC(2026, 10, 20, 8);

export function makeWork(overrides: Partial<WorkRow> = {}): WorkRow {
  return {
    dueAt: testNow,
    priority: 'user',
    leaseUntil: testNow + 15_000,
    holder: 'w1',
    epoch: 7,
    attempts: 0,
    wakeSeq: 3,
    takenOverAt: null,
    passedAt: testNow - 60_000,
    verifiedAt: null,
    materializedAt: null,
    incarnation: 1,
    recentActions: [],
    ...overrides,
  };
}

export function makeLook(plan: Plan | null, overrides: Partial<Look> = {}): Look {
  return { observed: {}, report: { status: {}, facts: [] }, exists: true, plan, ...overrides };
}

export interface FactsInput extends Partial<Omit<PassFacts, 'passRow'>> {
  readonly outcome: Outcome;
  readonly row?: Partial<ResourceRow>;
  readonly work?: Partial<WorkRow>;
  readonly stored?: PassFacts['passRow']['listeners'];
}

export function makeFacts({ row, work, stored, ...overrides }: FactsInput): PassFacts {
  const kind = testKinds.get('Note');
  if (kind === undefined) throw new Error('the test registry has a Note');
  const passRow = {
    row: makeRow({ spec: { text: 'hi' }, createdAt: testNow, updatedAt: testNow, ...row }),
    work: makeWork(work),
    intents: [],
    decisions: [],
    revision: null,
    listeners: stored ?? [],
    owner: null,
  };
  return {
    claim: { shard: 1, uid: 'uid-1', workspace: 'acme', kind: 'Note', epoch: 7, wakeSeq: 3, claimedAt: testNow },
    holder: 'w1',
    passRow,
    kind,
    timing: { resyncEveryMs: 600_000, visibilityMs: 10_000, maxCallMs: 30_000 },
    now: testNow,
    look: null,
    dependencies: null,
    listeners: [],
    readVersion: 5,
    review: null,
    dropAnnounced: [],
    acknowledged: [],
    endedAt: testNow,
    operations: [],
    calls: [],
    durationMs: 5,
    random: 0.5,
    ...overrides,
  };
}
