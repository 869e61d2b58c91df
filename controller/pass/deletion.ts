import type { Json } from '#resources/json.ts';
import type { Kind } from '#resources/kind.ts';
import { keyText } from '#resources/reference.ts';
import type { ResourceKey, ResourceRow } from '#resources/resource.ts';
import { topic } from '#resources/topic.ts';
import type { Action, Desired } from '#controller/contract.ts';
import { isObserveOnly } from './gates.ts';
import type { Refused } from './outcome.ts';

/**
 * Deletion is a desired state, not a second code path (architecture §5, Deletion): what differs is decided here. Pure.
 *
 * 1. Nothing of ours is deleted or released while another row needs it.
 * 2. Orphan: the plan may emit only `release`, and give up its children.
 * 3. Observe + absent removes the row and touches nothing.
 */

/** What is declared of the row: present, or absent once it has deleted_at. */
export function desiredOf(row: ResourceRow): Desired {
  if (row.deletedAt === null) return { state: 'present', spec: row.spec };
  return { state: 'absent', policy: row.deletionPolicy ?? 'Delete', spec: row.spec };
}

/** A row that is only observed goes without an action, and without a look. */
export function isRemovedUnseen(row: ResourceRow): boolean {
  return row.deletedAt !== null && isObserveOnly(row);
}

/** Whether the action takes our object away: what dependents and the point of no return stand before. */
export function takesAway(action: Action): boolean {
  return action.effect === 'delete' || action.effect === 'release';
}

/** The first action that an Orphan deletion may not do, or null. */
export function forbiddenForOrphan(desired: Desired, actions: readonly Action[]): Action | null {
  if (desired.state !== 'absent' || desired.policy !== 'Orphan') return null;
  return actions.find((action) => !['release', 'declare', 'operation'].includes(action.effect)) ?? null;
}

/**
 * Whether a stored row `needs` the one of that key. A row of a kind that only a newer build knows may: then its workspace is needed by it,
 * and whatever its spec names. Held up in vain, the other goes as soon as that build looks at it.
 */
export function needs(kind: Kind | undefined, row: ResourceRow, wanted: ResourceKey): boolean {
  if (row.workspace !== wanted.workspace) return false;
  if (kind === undefined) return wanted.kind === 'Workspace' || mentions(row.spec, wanted.name);
  return kind
    .references(row.spec, row.workspace, row.name)
    .some(
      (reference) => reference.mode === 'needs' && reference.kind === wanted.kind && reference.name === wanted.name,
    );
}

/** Whether it holds the name, alone or as a word of a text. */
function mentions(value: Json, name: string): boolean {
  if (typeof value === 'string') return isWordOf(name, value);
  if (Array.isArray(value)) return value.some((item) => mentions(item, name));
  if (value === null || typeof value !== 'object') return false;
  return Object.entries(value).some(([key, item]) => isWordOf(name, key) || mentions(item, name));
}

const inNames = /[a-z0-9-]/i;

function isWordOf(name: string, text: string): boolean {
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
    if (![text[at - 1], text[at + name.length]].some((beside) => beside !== undefined && inNames.test(beside)))
      return true;
  }
  return false;
}

/** Dependents named in a message. */
export const dependentsNamedMax = 10;

/** Another row needs this one, or is owned by it: it stays until that one is gone. */
export function hasDependents(row: ResourceRow, dependents: readonly ResourceKey[], children: number): Refused {
  const names = dependents.map(keyText).sort().slice(0, dependentsNamedMax);
  const who = names.length > 0 ? `is needed by ${names.join(', ')}` : `still owns ${children === 1 ? 'a row' : 'rows'}`;
  return {
    type: 'refused',
    as: 'DeletionBlocked',
    reason: 'HasDependents',
    message: `${keyText(row)} ${who}. It goes when they are gone; nothing cascades.`,
    clearsOn: [topic.refers(row.kind, row.workspace, row.name)],
    remedy: [
      {
        id: 'see-dependents',
        call: { proc: 'resources.tree', input: { workspace: row.workspace, kind: row.kind, name: row.name } },
        destructive: false,
        needs: 'declarer',
      },
    ],
    retryAfterMs: null,
  };
}
