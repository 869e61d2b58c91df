import { describe, expect, it } from 'vitest';
import { agent, human, makeRow } from '#resources/testing.ts';
import type { Principal, ResourceRow } from '#resources/resource.ts';
import type { Action } from '#controller/contract.ts';
import { destructionExhausted, refusalOf } from './gates.ts';
import type { GateFacts } from './gates.ts';
import { approvalDigest } from './recent-actions.ts';
import type { Revision } from '#controller/store/rows.ts';

const now = 1_000_000;
const account = { provider: 'gcs', account: 'p1' };
const healthy = { breaker: 'closed', cause: null, blockedForMs: 0, frozen: null } as const;
const free: Action = { type: 'patch', effect: 'update', risk: 'free' };
const guarded: Action = { ...free, risk: 'guarded' };
const erase: Action = { type: 'erase', effect: 'delete', risk: 'guarded', destroysData: true };

const revision = (by: Principal, more: Partial<Revision> = {}): Revision => ({
  generation: 1,
  spec: {},
  by,
  requestId: null,
  approved: [],
  confirmed: false,
  at: 0,
  ...more,
});
const facts = (row: Partial<ResourceRow> = {}, more: Partial<GateFacts> = {}): GateFacts => ({
  row: makeRow(row),
  revision: revision(human),
  now,
  account,
  state: healthy,
  probe: false,
  ...more,
});
/** "Suspended/SuspendedByUser", "unavailable", or "goes". */
function answer(action: Action, given: GateFacts): string {
  const refusal = refusalOf(action, given);
  if (refusal === null) return 'goes';
  return refusal.type === 'refused' ? `${refusal.as}/${refusal.reason}` : refusal.type;
}

const suspend = { suspend: { reason: 'holiday' } };
const frozen = { ...healthy, frozen: { by: 'sre', why: 'odd answers' } };
const open = { ...healthy, breaker: 'open', cause: 'unavailable' } as const;
const deleting = { deletedAt: now, undoUntil: now };

describe('gates', () => {
  const table: [string, Action, GateFacts, string][] = [
    ['a free action of a healthy row goes', free, facts(), 'goes'],
    ['nothing is carried out while suspended', free, facts({ spec: suspend }), 'Suspended/SuspendedByUser'],
    [
      'a suspension that has ended holds nothing back',
      free,
      facts({ spec: { suspend: { reason: 'x', until: '1970-01-01T00:00:01Z' } } }),
      'goes',
    ],
    [
      'observe-only carries nothing out',
      free,
      facts({ spec: { managementPolicy: 'Observe' } }),
      'Observed/DriftDetected',
    ],
    ['a freeze stops changes', free, facts({}, { state: frozen }), 'Suspended/ProviderFrozen'],
    ['an open breaker parks', free, facts({}, { state: open }), 'unavailable'],
    ['the probe passes an open breaker', free, facts({}, { state: open, probe: true }), 'goes'],
    ['the probe does not pass a freeze', free, facts({}, { state: frozen, probe: true }), 'Suspended/ProviderFrozen'],
    [
      'children and long work are ours and pass a freeze',
      { ...free, effect: 'declare' },
      facts({}, { state: frozen }),
      'goes',
    ],
    ['a person’s own generation approves a guarded action', guarded, facts(), 'goes'],
    ['an agent’s does not', guarded, facts({}, { revision: revision(agent) }), 'Stalled/ApprovalRequired'],
    [
      'an agent’s does when the plan it quoted held the action',
      { ...guarded, changes: [{ path: 'a', have: 1, want: 2 }] },
      facts({}, { revision: revision(agent, { approved: [approvalDigest(guarded)] }) }),
      'goes',
    ],
    [
      'an approval of another action approves nothing',
      guarded,
      facts({}, { revision: revision(agent, { approved: [approvalDigest(erase)] }) }),
      'Stalled/ApprovalRequired',
    ],
    ['a person’s generation approves no spending', { ...free, risk: 'spending' }, facts(), 'Stalled/ApprovalRequired'],
    ['nor what cannot be undone', { ...free, risk: 'irreversible' }, facts(), 'Stalled/ApprovalRequired'],
    ['no revision approves nothing', guarded, facts({}, { revision: null }), 'Stalled/ApprovalRequired'],
    ['a person’s delete without the name approves nothing', erase, facts(deleting), 'DeletionBlocked/ApprovalRequired'],
    [
      'a person’s delete with the name goes',
      erase,
      facts(deleting, { revision: revision(human, { confirmed: true }) }),
      'goes',
    ],
    [
      'an agent’s delete with the name alone does not',
      erase,
      facts(deleting, { revision: revision(agent, { confirmed: true }) }),
      'DeletionBlocked/ApprovalRequired',
    ],
    [
      'a child dropped by its owner carries the owner’s approval',
      erase,
      facts({ ...deleting, ownerUid: 'o' }, { revision: revision(agent, { confirmed: true }) }),
      'goes',
    ],
    [
      'a child’s own protection still blocks',
      erase,
      facts(
        { ...deleting, ownerUid: 'o', spec: { deletionProtection: true } },
        { revision: revision(agent, { confirmed: true }) },
      ),
      'DeletionBlocked/DeletionProtected',
    ],
    [
      'protection stops the destruction of data while the row is declared',
      { ...guarded, destroysData: true },
      facts({ spec: { deletionProtection: true } }),
      'Stalled/DeletionProtected',
    ],
    ['protection does not stop a change', guarded, facts({ spec: { deletionProtection: true } }), 'goes'],
    [
      'data is not destroyed inside the undo window',
      erase,
      facts({ deletedAt: now, undoUntil: now + 1 }, { revision: revision(human, { confirmed: true }) }),
      'DeletionBlocked/InUndoWindow',
    ],
    [
      'what destroys no data need not wait for it',
      { ...erase, destroysData: false },
      facts({ deletedAt: now, undoUntil: now + 1 }, { revision: revision(human, { confirmed: true }) }),
      'goes',
    ],
  ];
  it.each(table)('%s', (...[, action, given, expected]) => {
    expect(answer(action, given)).toBe(expected);
  });

  it('ask in their order: the first that refuses is the one that is named', () => {
    const all = { ...suspend, managementPolicy: 'Observe', deletionProtection: true };
    const given = { state: { ...open, frozen: frozen.frozen }, revision: revision(agent) };
    const window = { deletedAt: now, undoUntil: now + 1 };
    const steps = [
      facts({ ...window, spec: all }, given),
      facts({ ...window, spec: { ...all, suspend: null } }, given),
      facts({ ...window, spec: { deletionProtection: true } }, given),
      facts({ ...window, spec: { deletionProtection: true } }, { ...given, state: open }),
      facts({ ...window, spec: { deletionProtection: true } }, { ...given, state: healthy }),
      facts({ ...window, spec: { deletionProtection: true } }, { revision: revision(human, { confirmed: true }) }),
      facts(window, { revision: revision(human, { confirmed: true }) }),
    ];
    expect(steps.map((step) => answer(erase, step).replace(/.*\//, ''))).toEqual([
      'SuspendedByUser',
      'DriftDetected',
      'ProviderFrozen',
      'unavailable',
      'ApprovalRequired',
      'DeletionProtected',
      'InUndoWindow',
    ]);
  });

  it('quote what a person wrote, and name what clears them', () => {
    const refusal = refusalOf(free, facts({}, { state: frozen }));
    expect(refusal).toMatchObject({
      message: 'Changes at gcs/p1 are frozen by "sre": "odd answers"',
      clearsOn: ['provider:gcs/p1'],
      parkedOn: account,
    });
  });
});

describe('a workspace that has destroyed as much as it may', () => {
  const limit = { max: 20, windowMs: 600_000, now: Date.UTC(2026, 10, 20, 8) };

  it('is told when there is room again, and looks then', () => {
    const refused = destructionExhausted(makeRow({}), { ...limit, freeAt: limit.now + 90_000 });
    expect(refused.message).toBe(
      'The workspace has used its 20 destructive actions in 10 min; the window has room again at 2026-11-20T08:01:30.000Z, and this goes on then by itself.',
    );
    expect(refused).toMatchObject({ reason: 'DestructionBudgetExhausted', retryAfterMs: 90_000 });
  });

  it('looks within the window even if it may destroy nothing at all, and not at once if the room is there already', () => {
    expect(destructionExhausted(makeRow({}), { ...limit, freeAt: null }).retryAfterMs).toBe(600_000);
    expect(destructionExhausted(makeRow({}), { ...limit, freeAt: limit.now - 5 }).retryAfterMs).toBe(1_000);
  });
});
