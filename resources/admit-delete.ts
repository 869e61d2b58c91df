import { approvedActions, desiredDigest, ownedError, refuseOtherGeneration, rowOf } from './admission.ts';
import type { AdmissionContext } from './admission.ts';
import { firesOfChange } from './changes.ts';
import { ApiError, notFound } from './errors.ts';
import type { RowWrite } from './mutation.ts';
import { keyText } from './reference.ts';
import type { DeletionPolicy, ResourceKey, ResourceRow } from './resource.ts';

/** Undo window of what holds data, unless the workspace sets another. */
export const undoWindowHoursDefault = 72;

export interface DeleteInput {
  readonly key: ResourceKey;
  readonly confirm?: string;
  readonly policy?: DeletionPolicy;
  readonly planHash?: string;
  readonly ifGeneration?: number;
}

/**
 * Admits a deletion (architecture §5, Deletion). Null: it is being deleted already, by the same policy. With a plan hash it is a new
 * generation of the same deletion all the same: what came up on the way (ApprovalRequired) is approved so, inside the same window.
 */
export function admitDelete(context: AdmissionContext, input: DeleteInput): RowWrite | null {
  const row = rowOf(context, input.key);
  const kind = context.kinds.get(row.kind);
  if (kind === undefined) throw notFound();
  refuseOtherGeneration(input.key, row, input.ifGeneration);
  if (row.deletedAt !== null) {
    refuseOtherPolicy(row, input.policy);
    if (input.planHash === undefined) return null;
  }
  if (row.ownerUid !== null) throw ownedError(context, row);
  refuseUnconfirmed(row, input);
  refuseProtected(row);
  const policy = input.policy ?? row.deletionPolicy ?? (row.spec['deletionPolicy'] === 'Orphan' ? 'Orphan' : 'Delete');
  const approved = approvedDeletion(context, { input, row, policy });
  const after = { ...row, deletedAt: context.snapshot.now, generation: row.generation + 1 };
  return {
    op: 'delete',
    uid: row.uid,
    key: input.key,
    policy,
    undoForMs: undoForMs(context, row, kind.holdsData),
    by: context.principal,
    confirmed: true,
    approved,
    fires: firesOfChange(kind, row, after),
  };
}

/** A deletion under way keeps its policy: an answer of OK would promise what is not done. */
function refuseOtherPolicy(row: ResourceRow, policy: DeletionPolicy | undefined): void {
  if (policy === undefined || policy === row.deletionPolicy) return;
  const key = { workspace: row.workspace, kind: row.kind, name: row.name };
  throw new ApiError(
    'IN_USE',
    `${keyText(row)} is being deleted with policy ${row.deletionPolicy}. Undelete it, then delete it with policy ${policy}.`,
    {
      path: 'policy',
      current: row.deletionPolicy,
      remedy: [
        { id: 'undelete', call: { proc: 'resources.undelete', input: key }, destructive: false, needs: 'declarer' },
      ],
    },
  );
}

/** ms in which it can be undone: the workspace's window for what holds data, or what is left of it. */
function undoForMs(context: AdmissionContext, row: ResourceRow, holdsData: boolean): number {
  if (row.deletedAt !== null) return Math.max(0, (row.undoUntil ?? 0) - context.snapshot.now);
  return holdsData ? undoWindowHours(context, row.workspace) * 3_600_000 : 0;
}

function refuseUnconfirmed(row: ResourceRow, input: DeleteInput): void {
  if (input.confirm === row.name) return;
  throw new ApiError('CONFIRMATION_REQUIRED', `To delete ${keyText(row)}, quote its name in "confirm".`, {
    path: 'confirm',
    allowed: [row.name],
    current: input.confirm ?? null,
  });
}

function refuseProtected(row: ResourceRow): void {
  if (row.spec['deletionProtection'] !== true) return;
  const key = { workspace: row.workspace, kind: row.kind, name: row.name };
  throw new ApiError(
    'PROTECTED',
    `${keyText(row)} is protected. Switch deletionProtection off in a write of its own first.`,
    {
      path: 'spec.deletionProtection',
      current: true,
      allowed: [false],
      remedy: [
        {
          id: 'unprotect',
          call: { proc: 'resources.patch', input: { ...key, patch: { deletionProtection: false } } },
          destructive: false,
          needs: 'declarer',
        },
      ],
    },
  );
}

function approvedDeletion(
  context: AdmissionContext,
  wish: { input: DeleteInput; row: ResourceRow; policy: DeletionPolicy },
): readonly string[] {
  const { input, row, policy } = wish;
  if (input.planHash !== undefined) {
    const desired = desiredDigest({ op: 'delete', key: input.key, policy });
    return approvedActions(context, {
      hash: input.planHash,
      key: input.key,
      generation: row.generation,
      wish: desired,
    });
  }
  const trusted = context.principal.class === 'human' || context.principal.class === 'sre';
  if (trusted) return [];
  const planned = { workspace: row.workspace, changes: [{ delete: { kind: row.kind, name: row.name, policy } }] };
  throw new ApiError(
    'APPROVAL_REQUIRED',
    `A key of class ${context.principal.class} deletes by quoting a plan: ask resources.plan, then delete with its hash as planHash.`,
    {
      path: 'planHash',
      remedy: [{ id: 'plan', call: { proc: 'resources.plan', input: planned }, destructive: false, needs: 'declarer' }],
    },
  );
}

/** The undo window of a workspace for what holds data, in hours: its own setting, else the default. */
export function undoWindowHours(context: AdmissionContext, workspace: string): number {
  const row = context.snapshot.rows.get(keyText({ workspace, kind: 'Workspace', name: workspace }));
  const hours = row?.spec['undoWindowHours'];
  return typeof hours === 'number' ? hours : undoWindowHoursDefault;
}

/** Admits an undelete. Null: the row is not being deleted. PRECONDITION_FAILED once its destruction may have begun. */
export function admitUndelete(context: AdmissionContext, key: ResourceKey): RowWrite | null {
  const row = rowOf(context, key);
  const kind = context.kinds.get(row.kind);
  if (kind === undefined) throw notFound();
  if (row.deletedAt === null) return null;
  if (row.ownerUid !== null) throw ownedError(context, row);
  if (row.finalizingAt !== null) {
    throw new ApiError(
      'PRECONDITION_FAILED',
      `${keyText(row)} is being removed at its provider since ${new Date(row.finalizingAt).toISOString()}; it can't be undeleted any more.`,
      {
        remedy: [
          {
            id: 'wait',
            call: { proc: 'resources.wait', input: { refs: [{ ...key }], until: 'Deleted' } },
            destructive: false,
            needs: 'declarer',
          },
        ],
      },
    );
  }
  const after = { ...row, deletedAt: null, generation: row.generation + 1 };
  return { op: 'undelete', uid: row.uid, key, by: context.principal, fires: firesOfChange(kind, row, after) };
}
