import { z } from 'zod';
import type { Revision, StoredPass } from '#controller/store/rows.ts';
import type { Condition, Remedy } from '#resources/condition.ts';
import { projectConditions } from '#resources/conditions.ts';
import type { JsonObject } from '#resources/json.ts';
import type { KeyClass, Ms, ResourceKey, ResourceView } from '#resources/resource.ts';
import type { ApiDeps, Call } from '#api/context.ts';
import { keyInput } from './inputs.ts';
import { readable } from './read.ts';

/** All of this is told from recorded facts: nothing here asks a provider. */
export const historyInput = z.strictObject({ ...keyInput, limit: z.int().min(1).max(500).default(50) });
type HistoryInput = z.output<typeof historyInput>;

const iso = (ms: Ms): string => new Date(ms).toISOString();

/** One spec ever declared, and by whom. */
export interface HistoryItem {
  readonly generation: number;
  readonly at: string;
  readonly by: { readonly keyId: string; readonly lineage: string; readonly class: KeyClass };
  readonly requestId: string | null;
  readonly spec: JsonObject;
  readonly approved: readonly string[];
  readonly confirmed: boolean;
}

/** The revisions of a row, newest first. */
export async function history(deps: ApiDeps, call: Call, input: HistoryInput): Promise<readonly HistoryItem[]> {
  const { row } = await readable(deps, call, input);
  const at = { workspace: row.workspace, uid: row.uid, limit: input.limit };
  const revisions = await deps.stores.resources.revisions(call.scope, at);
  return revisions.map(historyItem);
}

function historyItem(revision: Revision): HistoryItem {
  const { generation, spec, requestId, approved, confirmed } = revision;
  const { keyId, lineage, class: keyClass } = revision.by;
  const by = { keyId, lineage, class: keyClass };
  return { generation, at: iso(revision.at), by, requestId, spec, approved, confirmed };
}

/** One recorded pass of the controller. */
export interface PassItem extends Omit<StoredPass, 'uid' | 'at'> {
  readonly at: string;
}

/** The passes of a row that did, changed or refused something, newest first. */
export async function passes(deps: ApiDeps, call: Call, input: HistoryInput): Promise<readonly PassItem[]> {
  const { row } = await readable(deps, call, input);
  const at = { workspace: row.workspace, uid: row.uid, limit: input.limit };
  const stored = await deps.stores.resources.passes(call.scope, at);
  return stored.map(({ uid: _uid, ...pass }) => ({ ...pass, at: iso(pass.at) }));
}

/** One line of a row's story. */
export interface EventItem {
  readonly at: string;
  readonly type: 'Declared' | 'Pass' | 'Condition';
  readonly generation: number;
  readonly reason: string;
  readonly message: string;
}

/** What was declared, what the controller did and when conditions last changed, newest first. */
export async function events(deps: ApiDeps, call: Call, input: HistoryInput): Promise<readonly EventItem[]> {
  const view = await readable(deps, call, input);
  const at = { workspace: view.row.workspace, uid: view.row.uid, limit: input.limit };
  const [revisions, stored] = await Promise.all([
    deps.stores.resources.revisions(call.scope, at),
    deps.stores.resources.passes(call.scope, at),
  ]);
  const items = [...revisions.map(declaredEvent), ...stored.map(passEvent), ...conditionEvents(view)];
  return items.toSorted((a, b) => (a.at < b.at ? 1 : -1)).slice(0, input.limit);
}

function declaredEvent(revision: Revision): EventItem {
  const { keyId, class: keyClass } = revision.by;
  return {
    at: iso(revision.at),
    type: 'Declared',
    generation: revision.generation,
    reason: revision.confirmed ? 'Deleted' : 'Declared',
    message: `Generation ${revision.generation} by key ${keyId} of class ${keyClass}.`,
  };
}

function passEvent(pass: StoredPass): EventItem {
  const sent = pass.calls.filter((one) => one.mutating).map((one) => `${one.provider} ${one.op} (${one.outcome})`);
  return {
    at: iso(pass.at),
    type: 'Pass',
    generation: pass.generation,
    reason: pass.outcome,
    message: `Pass ${pass.epoch}, ${pass.durationMs} ms; changes sent: ${sent.length === 0 ? 'none' : sent.join(', ')}.`,
  };
}

function conditionEvents(view: ResourceView): EventItem[] {
  return projectConditions(view).map((condition) => ({
    at: condition.lastChangeTime,
    type: 'Condition',
    generation: condition.observedGeneration,
    reason: `${condition.type}=${condition.status}/${condition.reason}`,
    message: condition.message,
  }));
}

/** Why a row is as it is, and what would change that. */
export interface Explanation {
  readonly ref: ResourceKey;
  readonly uid: string;
  readonly generation: number;
  readonly observedGeneration: number;
  readonly ready: Condition | null;
  /** What stands in the way, the deciding one first. */
  readonly because: readonly Condition[];
  /** The way down to the row that must move first: each one is blocked by the next. */
  readonly chain: readonly { readonly ref: string; readonly reason: string; readonly message: string }[];
  readonly remedy: readonly Remedy[];
  readonly lastPass: PassItem | null;
}

/** How far a chain of blocked rows is followed. */
const chainMax = 10;

export async function explain(deps: ApiDeps, call: Call, input: ResourceKey): Promise<Explanation> {
  const view = await readable(deps, call, input);
  const { row } = view;
  const conditions = projectConditions(view);
  const because = conditions.filter(standsInTheWay).toSorted((a, b) => rankOf(a) - rankOf(b));
  const last = await passes(deps, call, { ...input, limit: 1 });
  return {
    ref: { workspace: row.workspace, kind: row.kind, name: row.name },
    uid: row.uid,
    generation: row.generation,
    observedGeneration: row.observedGeneration,
    ready: conditions.find((condition) => condition.type === 'Ready') ?? null,
    because,
    chain: await blockers(deps, call, view),
    remedy: because.flatMap((condition) => condition.remedy ?? []),
    lastPass: last[0] ?? null,
  };
}

const abnormalTrue = ['Stalled', 'DeletionBlocked', 'Suspended', 'Reconciling'];

function standsInTheWay(condition: Condition): boolean {
  if (condition.type === 'Ready') return false;
  return (condition.status === 'True') === abnormalTrue.includes(condition.type);
}

function rankOf(condition: Condition): number {
  const rank = abnormalTrue.indexOf(condition.type);
  return rank === -1 ? abnormalTrue.length : rank;
}

async function blockers(deps: ApiDeps, call: Call, view: ResourceView): Promise<Explanation['chain']> {
  const chain: Explanation['chain'][number][] = [];
  const seen = new Set<string>();
  let at: ResourceView | null = view;
  while (at !== null && chain.length < chainMax) {
    const { workspace } = at.row;
    const ref = projectConditions(at).flatMap((condition) => condition.blockedBy ?? [])[0]?.ref;
    if (ref === undefined || seen.has(ref)) return chain;
    seen.add(ref);
    const [kind = '', ...rest] = ref.split('/');
    at = await deps.stores.resources.get(call.scope, { workspace, kind, name: rest.at(-1) ?? '' });
    const ready = at === null ? undefined : projectConditions(at).find((condition) => condition.type === 'Ready');
    chain.push({
      ref,
      reason: ready?.reason ?? 'DependencyNotFound',
      message: ready?.message ?? 'There is no such row.',
    });
  }
  return chain;
}

/** A row with what it owns. */
export interface TreeNode {
  readonly ref: ResourceKey;
  readonly uid: string;
  readonly slot: string | null;
  readonly ready: string;
  readonly reason: string;
  readonly deleting: boolean;
  readonly children: readonly TreeNode[];
}

const treeDepthMax = 8;
const treeNodesMax = 500;

/** The row and all it owns, directly or not: at most 500 rows, 8 deep; `truncated` says that there is more. */
export async function tree(
  deps: ApiDeps,
  call: Call,
  input: ResourceKey,
): Promise<{ readonly root: TreeNode; readonly truncated: boolean }> {
  const view = await readable(deps, call, input);
  const budget = { left: treeNodesMax - 1, truncated: false };
  const grow = async (parent: ResourceView, depth: number): Promise<TreeNode> => {
    const at = { workspace: parent.row.workspace, uid: parent.row.uid };
    const children = budget.left === 0 ? [] : await deps.stores.resources.children(call.scope, at);
    const shown = depth >= treeDepthMax ? [] : children.slice(0, budget.left);
    if (shown.length < children.length) budget.truncated = true;
    budget.left -= shown.length;
    const grown: TreeNode[] = [];
    for (const child of shown) grown.push(await grow(child, depth + 1));
    return nodeOf(parent, grown);
  };
  const root = await grow(view, 1);
  return { root, truncated: budget.truncated };
}

function nodeOf(view: ResourceView, children: readonly TreeNode[]): TreeNode {
  const { row } = view;
  const ready = projectConditions(view).find((condition) => condition.type === 'Ready');
  return {
    ref: { workspace: row.workspace, kind: row.kind, name: row.name },
    uid: row.uid,
    slot: row.slot,
    ready: ready?.status ?? 'Unknown',
    reason: ready?.reason ?? 'NotYetReconciled',
    deleting: row.deletedAt !== null,
    children,
  };
}
