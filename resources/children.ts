import { undoWindowHours } from './admit-delete.ts';
import { admitApply } from './admission.ts';
import type { AdmissionContext, ApplyInput } from './admission.ts';
import { firesOfChange } from './changes.ts';
import { ApiError } from './errors.ts';
import type { JsonObject } from './json.ts';
import { apiVersion, parseManifest } from './manifest.ts';
import type { RowWrite } from './mutation.ts';
import type { DeletionPolicy, ResourceRow } from './resource.ts';

/** A child that an owner wants, by slot. */
export interface WantedChild {
  readonly slot: string;
  readonly manifest: {
    readonly kind: string;
    readonly name: string;
    readonly spec: JsonObject;
    readonly labels?: Readonly<Record<string, string>>;
  };
}

/** Why none of the children was written. */
export interface ChildRefusal {
  readonly reason: 'DependencyDeleting' | 'SpecInvalid';
  readonly slot: string;
  readonly message: string;
}

export interface ChildrenInput {
  readonly owner: ResourceRow;
  readonly wanted: readonly WantedChild[];
  /** Digests of the owner's approved actions, copied to a dropped child's revision. */
  readonly approved: readonly string[];
  readonly policy: DeletionPolicy;
}

/**
 * What `declare` writes (architecture §5): a slot without a row gets one; another spec is a new generation; a child not named gets
 * deleted_at; a slot whose row is being deleted is undeleted while that is possible, else the owner waits. A refusal writes nothing.
 */
export function admitChildren(
  context: AdmissionContext,
  input: ChildrenInput,
): readonly RowWrite[] | { readonly refused: ChildRefusal } {
  const existing = new Map(context.snapshot.children.map((row) => [row.slot ?? '', row]));
  const stuck = input.wanted.find((child) => (existing.get(child.slot)?.finalizingAt ?? null) !== null);
  if (stuck !== undefined) return { refused: deletingChild(stuck.slot) };
  const revived = input.wanted.flatMap((child) => undeleted(context, existing.get(child.slot)));
  try {
    const applies = admitApply(
      withoutDeletion(context),
      input.wanted.map((child, index) => applyOf(context, { child, index, owner: input.owner })),
    );
    // One row, one write: a revived child with another spec gets that spec by the owner's next pass.
    const again = new Set(revived.map((write) => write.uid));
    const writes = applies.flatMap(({ write }) => (write === null || again.has(write.uid) ? [] : [write]));
    return [...revived, ...writes, ...dropped(context, input)];
  } catch (error) {
    if (error instanceof ApiError)
      return { refused: { reason: 'SpecInvalid', slot: slotOf(error, input.wanted), message: error.message } };
    throw error;
  }
}

function deletingChild(slot: string): ChildRefusal {
  return {
    reason: 'DependencyDeleting',
    slot,
    message: `The child in slot "${slot}" is being removed; it is declared again when it is gone.`,
  };
}

function slotOf(error: ApiError, wanted: readonly WantedChild[]): string {
  const index = /^children\[(\d+)\]/.exec(error.data.path ?? '')?.[1];
  return wanted[Number(index ?? 0)]?.slot ?? '';
}

function applyOf(context: AdmissionContext, at: { child: WantedChild; index: number; owner: ResourceRow }): ApplyInput {
  const { child, owner } = at;
  const manifest = {
    apiVersion,
    kind: child.manifest.kind,
    metadata: { workspace: owner.workspace, name: child.manifest.name, labels: child.manifest.labels ?? {} },
    spec: child.manifest.spec,
  };
  return {
    manifest: parseManifest(manifest, context.kinds, `children[${at.index}]`),
    owner: { uid: owner.uid, slot: child.slot },
  };
}

/** Revived children are admitted as if they were not being deleted. */
function withoutDeletion(context: AdmissionContext): AdmissionContext {
  const mine = new Set(context.snapshot.children.map((row) => row.uid));
  const rows = new Map(
    [...context.snapshot.rows].map(
      ([key, row]) => [key, mine.has(row.uid) ? { ...row, deletedAt: null } : row] as const,
    ),
  );
  return { ...context, snapshot: { ...context.snapshot, rows } };
}

function undeleted(context: AdmissionContext, row: ResourceRow | undefined): RowWrite[] {
  if (row === undefined || row.deletedAt === null) return [];
  const kind = context.kinds.get(row.kind);
  if (kind === undefined) return [];
  const key = { workspace: row.workspace, kind: row.kind, name: row.name };
  const after = { ...row, deletedAt: null, generation: row.generation + 1 };
  return [{ op: 'undelete', uid: row.uid, key, by: context.principal, fires: firesOfChange(kind, row, after) }];
}

function dropped(context: AdmissionContext, input: ChildrenInput): RowWrite[] {
  const slots = new Set(input.wanted.map((child) => child.slot));
  return context.snapshot.children
    .filter((row) => !slots.has(row.slot ?? '') && row.deletedAt === null)
    .flatMap((row) => {
      const kind = context.kinds.get(row.kind);
      if (kind === undefined) return [];
      const after = { ...row, deletedAt: context.snapshot.now, generation: row.generation + 1 };
      return [
        {
          op: 'delete',
          uid: row.uid,
          key: { workspace: row.workspace, kind: row.kind, name: row.name },
          policy: input.policy,
          undoForMs: kind.holdsData ? undoWindowHours(context, row.workspace) * 3_600_000 : 0,
          by: context.principal,
          confirmed: true,
          approved: input.approved,
          fires: firesOfChange(kind, row, after),
        } as const,
      ];
    });
}
