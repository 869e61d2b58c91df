import type { Remedy } from '#resources/condition.ts';
import type { Ms, ResourceRow } from '#resources/resource.ts';
import { quoted } from '#resources/text.ts';
import { topic } from '#resources/topic.ts';
import { isoTime, parseTime } from '#controller/clock.ts';
import type { Action } from '#controller/contract.ts';
import type { GatewayState } from '#controller/gateway/types.ts';
import type { Account, Outcome, Refused } from './outcome.ts';
import { approvalDigest } from './recent-actions.ts';
import type { Revision } from '#controller/store/rows.ts';

/**
 * What must hold before an action is carried out (architecture §5, One pass), each gate with its own reason, in this order: suspended,
 * observe-only, frozen, breaker, approval, protection, undo window. Pure. After these come the ones that count or take something and
 * so touch the store: destruction budget, name claim; and residency, which the gateway checks at the call.
 */
export interface GateFacts {
  readonly row: ResourceRow;
  readonly revision: Revision | null;
  readonly now: Ms;
  /** Whose breaker and freeze govern the row; null: no provider. */
  readonly account: Account | null;
  readonly state: GatewayState | null;
  /** This pass is the probe of an open breaker. */
  readonly probe: boolean;
}

/** The first gate that refuses the action, as the pass's outcome, or null. */
export function refusalOf(action: Action, facts: GateFacts): Outcome | null {
  return (
    suspended(facts) ??
    observeOnly(facts) ??
    (reachesProvider(action) ? (frozen(facts) ?? breaker(facts)) : null) ??
    approval(action, facts) ??
    protection(action, facts) ??
    undoWindow(action, facts)
  );
}

/** Built-in actions touch our own rows only. */
export function reachesProvider(action: Action): boolean {
  return action.effect !== 'declare' && action.effect !== 'operation';
}

/** Counts against the workspace's destruction budget, and is stopped by protection. */
export function isDestructive(action: Action, row: ResourceRow): boolean {
  return action.destroysData === true || (action.effect === 'delete' && row.deletedAt !== null);
}

interface Suspension {
  readonly reason: string;
  /** null: without end. */
  readonly untilMs: Ms | null;
}

/** The suspension in effect at `now`, or null. */
export function suspensionOf(row: ResourceRow, now: Ms): Suspension | null {
  const wish = row.spec['suspend'] as { reason?: string; until?: string } | null | undefined;
  if (wish === null || wish === undefined) return null;
  const untilMs = wish.until === undefined ? null : parseTime(wish.until);
  return untilMs !== null && untilMs <= now ? null : { reason: wish.reason ?? '', untilMs };
}

/** Whether the row is only looked at. */
export function isObserveOnly(row: ResourceRow): boolean {
  return row.spec['managementPolicy'] === 'Observe';
}

function suspended({ row, now }: GateFacts): Refused | null {
  const suspension = suspensionOf(row, now);
  if (suspension === null) return null;
  return {
    type: 'refused',
    as: 'Suspended',
    reason: 'SuspendedByUser',
    message: 'The resource is suspended: the plan has changes to make and none is made.',
    clearsOn: [topic.spec(row.uid)],
    remedy: [resume(row)],
    retryAfterMs: suspension.untilMs === null ? null : suspension.untilMs - now,
  };
}

/** What a person or agent calls to end the suspension. */
export function resume(row: ResourceRow): Remedy {
  return patch(row, 'resume', { suspend: null });
}

function patch(row: ResourceRow, id: string, fields: Record<string, string | boolean | null>): Remedy {
  const { workspace, kind, name } = row;
  return {
    id,
    call: { proc: 'resources.patch', input: { workspace, kind, name, patch: fields } },
    destructive: false,
    needs: 'declarer',
  };
}

function observeOnly({ row }: GateFacts): Refused | null {
  if (!isObserveOnly(row)) return null;
  return {
    type: 'refused',
    as: 'Observed',
    reason: 'DriftDetected',
    message: 'What exists differs from the declaration; with managementPolicy Observe nothing is changed.',
    clearsOn: [topic.spec(row.uid)],
    remedy: [patch(row, 'enforce', { managementPolicy: 'Enforce' })],
    retryAfterMs: null,
  };
}

function frozen({ account, state }: GateFacts): Refused | null {
  if (account === null || state === null || state.frozen === null) return null;
  return frozenRefusal(account, state.frozen);
}

/** A freeze stops mutations, never observation. */
export function frozenRefusal(account: Account, freeze: { by: string; why: string }): Refused {
  return {
    type: 'refused',
    as: 'Suspended',
    reason: 'ProviderFrozen',
    message: `Changes at ${account.provider}/${account.account} are frozen by ${quoted(freeze.by)}: ${quoted(freeze.why)}`,
    clearsOn: [topic.provider(account.provider, account.account)],
    remedy: [
      {
        id: 'thaw',
        call: { proc: 'providers.thaw', input: { provider: account.provider, account: account.account } },
        destructive: false,
        needs: 'sre',
      },
    ],
    retryAfterMs: null,
    parkedOn: account,
  };
}

function breaker({ account, state, probe }: GateFacts): Outcome | null {
  if (account === null || state === null || probe || state.breaker === 'closed') return null;
  return { type: 'unavailable', account };
}

function approval(action: Action, { row, revision }: GateFacts): Refused | null {
  if (action.risk === 'free' || isApproved(action, row, revision)) return null;
  const { workspace, kind, name } = row;
  const change =
    row.deletedAt === null
      ? { apply: { apiVersion: 'vibn.dev/v1', kind, metadata: { workspace, name }, spec: row.spec } }
      : { delete: { kind, name, policy: row.deletionPolicy ?? 'Delete' } };
  return {
    type: 'refused',
    as: row.deletedAt === null ? 'Stalled' : 'DeletionBlocked',
    reason: 'ApprovalRequired',
    message:
      `The action ${action.type} has risk ${action.risk} and generation ${row.generation} does not approve it. ` +
      'Ask for a plan and declare again quoting its hash.',
    clearsOn: [topic.approval(row.uid), topic.spec(row.uid)],
    remedy: [
      {
        id: 'plan',
        call: { proc: 'resources.plan', input: { workspace, changes: [change] } },
        destructive: false,
        needs: 'approver',
      },
    ],
    retryAfterMs: null,
  };
}

/** Its own digest is approved; or, for `guarded`, a person wrote this generation (deletes: quoting the name). */
function isApproved(action: Action, row: ResourceRow, revision: Revision | null): boolean {
  if (revision === null) return false;
  if (revision.approved.includes(approvalDigest(action))) return true;
  if (action.risk !== 'guarded') return false;
  if (row.deletedAt === null) return isPerson(revision);
  // A child dropped by its owner carries the owner's approval: the `declare` that dropped it has passed this gate.
  return revision.confirmed && (isPerson(revision) || row.ownerUid !== null);
}

function isPerson(revision: Revision): boolean {
  return revision.by.class === 'human' || revision.by.class === 'sre';
}

function protection(action: Action, { row }: GateFacts): Refused | null {
  if (row.spec['deletionProtection'] !== true || !isDestructive(action, row)) return null;
  return {
    type: 'refused',
    as: row.deletedAt === null ? 'Stalled' : 'DeletionBlocked',
    reason: 'DeletionProtected',
    message: 'deletionProtection is on. Switch it off in a write of its own, then ask again.',
    clearsOn: [topic.spec(row.uid)],
    remedy: [patch(row, 'unprotect', { deletionProtection: false })],
    retryAfterMs: null,
  };
}

function undoWindow(action: Action, { row, now }: GateFacts): Refused | null {
  if (row.deletedAt === null || action.destroysData !== true) return null;
  return row.undoUntil !== null && row.undoUntil > now ? inUndoWindow(row, row.undoUntil - now) : null;
}

/** Data is not destroyed before undo_until. */
export function inUndoWindow(row: ResourceRow, retryAfterMs: number): Refused {
  const { workspace, kind, name } = row;
  return {
    type: 'refused',
    as: 'DeletionBlocked',
    reason: 'InUndoWindow',
    message: 'The deletion would destroy data; until undoUntil it can be undone and nothing is destroyed.',
    clearsOn: [topic.spec(row.uid)],
    remedy: [
      {
        id: 'undelete',
        call: { proc: 'resources.undelete', input: { workspace, kind, name } },
        destructive: false,
        needs: 'declarer',
      },
    ],
    retryAfterMs,
  };
}

/** Many may wait for the same room. */
const soonestMs = 1_000;

/** The workspace has destroyed as much as it may in one window. */
export function destructionExhausted(
  row: ResourceRow,
  limit: { max: number; windowMs: number; now: number; freeAt: number | null },
): Refused {
  const { workspace } = row;
  // The time moves only when another takes the room: what others wait for has moved then, too.
  const freeAt = limit.freeAt ?? limit.now + limit.windowMs;
  return {
    type: 'refused',
    as: row.deletedAt === null ? 'Stalled' : 'DeletionBlocked',
    reason: 'DestructionBudgetExhausted',
    message:
      `The workspace has used its ${limit.max} destructive actions in ${limit.windowMs / 60_000} min; ` +
      `the window has room again at ${isoTime(freeAt)}, and this goes on then by itself.`,
    clearsOn: [topic.approval(row.uid), topic.spec(row.uid)],
    remedy: [
      {
        id: 'see-what-is-being-deleted',
        call: {
          proc: 'resources.list',
          input: { workspace, condition: { type: 'DeletionBlocked', status: 'True' } },
        },
        destructive: false,
        needs: 'declarer',
      },
    ],
    retryAfterMs: Math.min(limit.windowMs, Math.max(soonestMs, freeAt - limit.now)),
  };
}
