import { admissionFollow } from '#resources/admission.ts';
import { admitChildren } from '#resources/children.ts';
import type { ChildRefusal } from '#resources/children.ts';
import { keyText } from '#resources/reference.ts';
import type { KindRegistry } from '#resources/registry.ts';
import type { ResourceKey, ResourceRow } from '#resources/resource.ts';
import { topic } from '#resources/topic.ts';
import type { Action, ChildDeclaration, DeclareAction, OperationAction } from '#controller/contract.ts';
import type { Outcome } from './outcome.ts';
import type { DeclareInput } from '#controller/store/engine-store.ts';
import type { Revision, Settle } from '#controller/store/rows.ts';

/**
 * The built-in action `declare` (architecture §5, Contract of a kind): all children the owner wants, carried out in the owner's
 * settle transaction. Pure but for the uids it is given.
 */

/** Whether an action is the built-in `declare`; kinds may not use the name for anything else. */
export function isDeclare(action: Action): action is DeclareAction {
  return action.type === 'declare' && action.effect === 'declare';
}

/** Whether an action is the built-in `operation`. */
export function isOperation(action: Action): action is OperationAction {
  return action.type === 'operation' && action.effect === 'operation';
}

/** Why no child was written. `moved`: the owner's spec is not the one this plan was made for. */
export type DeclareRefusal = ChildRefusal | 'moved';

export interface DeclareRequest {
  readonly settle: Settle;
  readonly owner: ResourceRow;
  readonly revision: Revision | null;
  readonly children: readonly ChildDeclaration[];
  readonly kinds: KindRegistry;
  readonly uuid: () => string;
}

/** What the store must read, and the decision it makes under the shard's lock. */
export function declareInput(request: DeclareRequest): DeclareInput<DeclareRefusal> {
  const { settle, owner, children, kinds } = request;
  return {
    settle,
    reads: declareReads(owner, children, kinds),
    follow: admissionFollow(kinds),
    decide: (snapshot) => {
      const now = snapshot.rows.get(keyText(owner));
      if (now === undefined || now.uid !== owner.uid || now.generation !== owner.generation) {
        return { refused: 'moved' };
      }
      // Whoever declared this generation: what the person who made the owner may do, an agent that edits it may not.
      const principal = request.revision?.by ?? owner.createdBy;
      return admitChildren(
        { kinds, snapshot, principal, uuid: request.uuid },
        {
          owner,
          wanted: children,
          approved: request.revision?.approved ?? [],
          policy: owner.deletionPolicy ?? 'Delete',
        },
      );
    },
  };
}

/** The owner, its Workspace, the children by name and what their specs refer to. */
function declareReads(owner: ResourceRow, children: readonly ChildDeclaration[], kinds: KindRegistry): ResourceKey[] {
  const { workspace } = owner;
  const keys: ResourceKey[] = [
    { workspace, kind: owner.kind, name: owner.name },
    { workspace, kind: 'Workspace', name: workspace },
  ];
  for (const { manifest } of children) {
    keys.push({ workspace, kind: manifest.kind, name: manifest.name });
    const references = kinds.get(manifest.kind)?.references(manifest.spec, workspace, manifest.name) ?? [];
    for (const reference of references) keys.push({ workspace, kind: reference.kind, name: reference.name });
  }
  return [...new Map(keys.map((key) => [keyText(key), key])).values()];
}

/** How the pass ends whose children were refused. */
export function refusedChildren(owner: ResourceRow, refusal: DeclareRefusal): Outcome {
  if (refusal === 'moved') return { type: 'superseded' };
  const { reason, message, slot } = refusal;
  if (reason === 'DependencyDeleting') {
    return { type: 'blocked', reason, message, blockedBy: [{ ref: `slot ${slot}`, condition: 'Ready', reason }] };
  }
  const { workspace, kind, name } = owner;
  return {
    type: 'stalled',
    reason,
    message: `The child in slot "${slot}" was refused and no child was written: ${message}`,
    clearsOn: [topic.spec(owner.uid)],
    remedy: [
      {
        id: 'see-spec',
        call: { proc: 'resources.get', input: { workspace, kind, name } },
        destructive: false,
        needs: 'declarer',
      },
    ],
  };
}
