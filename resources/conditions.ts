import type { Condition, ConditionDraft } from './condition.ts';
import { sameJson } from './json.ts';
import type { Kind } from './kind.ts';
import { actorOf, classOf } from './reasons.ts';
import type { Ms, Resource, ResourceRow, ResourceView } from './resource.ts';
import { safeText } from './text.ts';

/** Code points a condition's message has at most. */
export const messageCodePointsMax = 300;

const iso = (ms: Ms): string => new Date(ms).toISOString();
const isoOrNull = (ms: Ms | null): string | null => (ms === null ? null : iso(ms));

/** Where and when conditions are decided. `now` is the database's time. */
export interface MergePoint {
  readonly generation: number;
  readonly now: Ms;
  readonly kind?: Kind;
}

/**
 * Makes the stored conditions say what the drafts say: adds class, actor, times and generation, sorts by type, drops types not
 * drafted. Times do not move for what did not change. Answers the SAME array if nothing changed, so that the pass writes nothing.
 */
export function mergeConditions(
  stored: readonly Condition[],
  drafts: readonly ConditionDraft[],
  at: MergePoint,
): readonly Condition[] {
  const before = new Map(stored.map((condition) => [condition.type, condition]));
  const merged = drafts
    .map((draft) => mergeOne(before.get(draft.type), draft, at))
    .sort((a, b) => (a.type < b.type ? -1 : 1));
  const same = merged.length === stored.length && merged.every((condition, index) => condition === stored[index]);
  return same ? stored : merged;
}

function mergeOne(old: Condition | undefined, draft: ConditionDraft, at: MergePoint): Condition {
  if (old !== undefined && saysTheSame(old, draft, at)) return old;
  const message = safeText(draft.message, messageCodePointsMax);
  const sameStatus = old !== undefined && old.status === draft.status;
  const sameText = sameStatus && old.reason === draft.reason && old.message === message;
  const next: Condition = {
    ...draft,
    ...keptEvidence(sameText ? old : undefined, draft),
    message,
    observedGeneration: at.generation,
    lastTransitionTime: sameStatus ? old.lastTransitionTime : iso(at.now),
    lastChangeTime: sameText ? old.lastChangeTime : iso(at.now),
    class: classOf(draft.reason, at.kind),
    actor: actorOf(draft.reason, at.kind),
  };
  return old !== undefined && sameJson(old, next) ? old : next;
}

/** Members of a condition that its draft does not have. */
const addedMembers = ['observedGeneration', 'lastTransitionTime', 'lastChangeTime', 'class', 'actor'].length;

/** For nearly all: found without making the next one. False also where that is only not seen at a glance. */
function saysTheSame(old: Condition, draft: ConditionDraft, { generation, kind }: MergePoint): boolean {
  if (draft.evidence !== undefined || old.observedGeneration !== generation) return false;
  const members = Object.keys(draft) as (keyof ConditionDraft)[];
  const drafted = members.filter((member) => draft[member] !== undefined);
  return (
    Object.keys(old).length === drafted.length + addedMembers &&
    drafted.every((member) => sameJson(old[member], draft[member])) &&
    old.class === classOf(draft.reason, kind) &&
    old.actor === actorOf(draft.reason, kind)
  );
}

/** Evidence names the pass that first saw it: a later pass that sees the same does not rewrite the row. */
function keptEvidence(old: Condition | undefined, draft: ConditionDraft): Pick<Condition, 'evidence'> {
  const { evidence } = draft;
  if (evidence === undefined) return {};
  const was = old?.evidence;
  if (was === undefined) return { evidence };
  const { pass: _was, ...oldRest } = was;
  const { pass: _now, ...newRest } = evidence;
  return { evidence: sameJson(oldRest, newRest) ? was : evidence };
}

/** Whether the STORED Ready is True: what dependents see, so that an edit in progress unreadies nobody. */
export function storedReady(row: Pick<ResourceRow, 'conditions'>): boolean {
  return row.conditions.some((condition) => condition.type === 'Ready' && condition.status === 'True');
}

const projected = { class: 'progress', actor: 'system' } as const;
const notYet = 'NotYetReconciled';

/**
 * The conditions as every door shows them. While the generation is newer than the observed one, Ready is Unknown and Reconciling True,
 * both NotYetReconciled, and Stalled is left out; `retry` and `verifiedAt` are joined from `work` and never move the version.
 */
export function projectConditions(view: ResourceView): readonly Condition[] {
  const { row } = view;
  const current = row.generation <= row.observedGeneration;
  const shown = current ? row.conditions : [...pending(row), ...row.conditions.filter(survivesEdit)];
  return shown.map((condition) => joined(condition, view)).sort((a, b) => (a.type < b.type ? -1 : 1));
}

const replaced = new Set(['Ready', 'Reconciling', 'Stalled']);
const survivesEdit = (condition: Condition): boolean => !replaced.has(condition.type);

function pending(row: ResourceRow): Condition[] {
  const message = `Generation ${row.generation} is declared; the controller has not reconciled it yet.`;
  const base = {
    reason: notYet,
    message,
    observedGeneration: row.observedGeneration,
    ...projected,
    lastChangeTime: iso(row.updatedAt),
  };
  const since = (type: string, status: string): string => {
    const old = row.conditions.find((condition) => condition.type === type);
    return old !== undefined && old.status === status ? old.lastTransitionTime : iso(row.updatedAt);
  };
  return [
    { type: 'Ready', status: 'Unknown', ...base, lastTransitionTime: since('Ready', 'Unknown') },
    { type: 'Reconciling', status: 'True', ...base, lastTransitionTime: since('Reconciling', 'True') },
  ];
}

function joined(condition: Condition, { row, work }: ResourceView): Condition {
  if (condition.type === 'Ready') return { ...condition, verifiedAt: isoOrNull(work?.verifiedAt ?? null) };
  if (condition.type !== 'Reconciling') return condition;
  // due_at is stored shifted by priority: a time before the last write only means "at once".
  const nextAt = iso(Math.max(work?.dueAt ?? row.updatedAt, row.updatedAt));
  return { ...condition, retry: { attempt: work?.attempts ?? 0, nextAt, deadline: null } };
}

/** THE projection of a row (architecture §6): get, list, wait and watch all answer this. Pure. */
export function projectResource(view: ResourceView): Resource {
  const { row, owner } = view;
  return {
    apiVersion: 'vibn.dev/v1',
    kind: row.kind,
    metadata: {
      workspace: row.workspace,
      name: row.name,
      labels: row.labels,
      annotations: row.annotations,
      uid: row.uid,
      generation: row.generation,
      version: row.version,
      createdAt: iso(row.createdAt),
      updatedAt: iso(row.updatedAt),
      owner: owner === null || row.ownerUid === null ? null : { ...owner, uid: row.ownerUid, slot: row.slot ?? '' },
      deletedAt: isoOrNull(row.deletedAt),
      undoUntil: isoOrNull(row.undoUntil),
    },
    spec: row.spec,
    status: { ...row.status, observedGeneration: row.observedGeneration, conditions: projectConditions(view) },
  };
}
