/**
 * Admission's pure part (flow step 2): parse, default, immutable, references, ownership, quota, protection, approval.
 * Serves the API and the owners that declare children. Reads a snapshot taken under the shard's lock; answers writes or throws.
 *
 * A1  What is refused writes nothing. A2  What changes nothing writes nothing. A3  Every new generation has a revision and wakes its row.
 */
import { admitReferences } from './admit-references.ts';
import type { Proposed } from './admit-references.ts';
import { firesOfChange } from './changes.ts';
import { digest } from './digest.ts';
import { ApiError, notFound, validationError } from './errors.ts';
import type { Issue } from './errors.ts';
import { dotted, issuesOf } from './issues.ts';
import { sameJson } from './json.ts';
import type { Json, JsonObject } from './json.ts';
import type { Manifest } from './manifest.ts';
import type { MutationSnapshot, RowWrite, StoredPlan } from './mutation.ts';
import { newRow } from './new-row.ts';
import { keyText } from './reference.ts';
import type { KindRegistry } from './registry.ts';
import type { KeyClass, Principal, ResourceKey, ResourceRow } from './resource.ts';
import { refuseLargeRow } from './row-size.ts';
import { immutablePaths, stickyFields } from './schema-marks.ts';

/** Rows a workspace may have, of all kinds, unless its quota says otherwise. */
export const workspaceRowsMax = 200_000;

export interface AdmissionContext {
  readonly kinds: KindRegistry;
  readonly snapshot: MutationSnapshot;
  readonly principal: Principal;
  readonly uuid: () => string;
  /** Rows the workspace has, as lately counted; absent: not checked (children of an owner, plans). */
  readonly workspaceRows?: number;
}

export interface ApplyInput {
  readonly manifest: Manifest;
  /** 0: must not exist. */
  readonly ifGeneration?: number;
  readonly planHash?: string;
  /** Set for children: who owns the row, and that its specs come from its owner. */
  readonly owner?: { readonly uid: string; readonly slot: string };
}

export interface ApplyResult {
  /** Null: nothing new. */
  readonly write: RowWrite | null;
  /** Sticky fields that were omitted and kept: "spec.suspend". */
  readonly kept: readonly string[];
}

/** Keys that admission of these manifests must see: themselves, their Workspace and what they refer to as sent. */
export function admissionReads(manifests: readonly Manifest[]): ResourceKey[] {
  const keys = manifests.flatMap((manifest) => [
    manifest.key,
    { workspace: manifest.key.workspace, kind: 'Workspace', name: manifest.key.workspace },
    ...referencesAsSent(manifest),
  ]);
  return [...new Map(keys.map((key) => [keyText(key), key])).values()];
}

function referencesAsSent(manifest: Manifest): ResourceKey[] {
  const parsed = manifest.kind.spec.safeParse(
    manifest.kind.defaults(manifest.rawSpec, manifest.key.workspace, manifest.key.name),
  );
  if (!parsed.success) return [];
  return manifest.kind
    .references(parsed.data as JsonObject, manifest.key.workspace, manifest.key.name)
    .map((reference) => ({ workspace: manifest.key.workspace, kind: reference.kind, name: reference.name }));
}

/** What a stored row leads to: all it refers to (for cycles). */
export function admissionFollow(kinds: KindRegistry): (row: ResourceRow) => readonly ResourceKey[] {
  return (row) =>
    (kinds.get(row.kind)?.references(row.spec, row.workspace, row.name) ?? []).map((reference) => ({
      workspace: row.workspace,
      kind: reference.kind,
      name: reference.name,
    }));
}

/** Admits manifests of one workspace together: all or nothing. Results are in the order of `inputs`. */
export function admitApply(context: AdmissionContext, inputs: readonly ApplyInput[]): readonly ApplyResult[] {
  refuseTwice(inputs);
  const prepared = inputs.map((input) => prepare(context, input));
  const proposed: Proposed[] = prepared.map((item) => ({ ...item.input.manifest, spec: item.spec }));
  admitReferences(proposed, context.snapshot.rows, context.kinds);
  refuseOverQuota(context, prepared.filter((item) => item.row === undefined).length);
  return prepared.map((item) => ({ write: writeOf(context, item), kept: item.kept.map((field) => `spec.${field}`) }));
}

interface Prepared {
  readonly input: ApplyInput;
  readonly row: ResourceRow | undefined;
  readonly spec: JsonObject;
  readonly kept: readonly string[];
}

function refuseTwice(inputs: readonly ApplyInput[]): void {
  const seen = new Set<string>();
  for (const { manifest } of inputs) {
    const key = keyText(manifest.key);
    if (seen.has(key))
      throw validationError([{ path: manifest.path, message: `${key} is named twice in one request.`, allowed: null }]);
    seen.add(key);
  }
}

function prepare(context: AdmissionContext, input: ApplyInput): Prepared {
  const { manifest } = input;
  const row = context.snapshot.rows.get(keyText(manifest.key));
  if (manifest.kind.platformOnly && context.principal.workspace !== null) {
    throw new ApiError('FORBIDDEN', `A ${manifest.kind.name} is declared with a platform key.`, {
      path: `${manifest.path}.kind`,
    });
  }
  refuseDeleting(row);
  refuseOtherGeneration(manifest.key, row, input.ifGeneration);
  const { spec, kept } = defaultedSpec(manifest, row);
  refuseLargeRow(manifest, spec);
  if (row !== undefined) refuseUpdate(context, { input, row, spec, kept });
  return { input, row, spec, kept };
}

/** The spec with sticky fields kept and defaults filled in. Throws VALIDATION with all problems. */
export function defaultedSpec(
  manifest: Manifest,
  row: ResourceRow | undefined,
): { spec: JsonObject; kept: readonly string[] } {
  const { kind, key, path } = manifest;
  const raw: Record<string, Json> = { ...kind.defaults(manifest.rawSpec, key.workspace, key.name) };
  const kept: string[] = [];
  for (const field of stickyFields(kind.spec)) {
    const stored = row?.spec[field];
    if (manifest.rawSpec[field] === null) delete raw[field];
    else if (manifest.rawSpec[field] === undefined && stored !== undefined) {
      raw[field] = stored;
      kept.push(field);
    }
  }
  const parsed = kind.spec.safeParse(raw);
  if (!parsed.success) throw validationError(issuesOf(parsed.error, `${path}.spec`, Object.keys(kind.spec.shape)));
  return { spec: parsed.data as JsonObject, kept };
}

function refuseDeleting(row: ResourceRow | undefined): void {
  if (row === undefined || row.deletedAt === null) return;
  const key = { workspace: row.workspace, kind: row.kind, name: row.name };
  throw new ApiError('IN_USE', `${keyText(row)} is being deleted.`, {
    remedy: [
      { id: 'undelete', call: { proc: 'resources.undelete', input: key }, destructive: false, needs: 'declarer' },
      {
        id: 'wait',
        call: { proc: 'resources.wait', input: { refs: [key], until: 'Deleted' } },
        destructive: false,
        needs: 'declarer',
      },
    ],
  });
}

/** Throws GENERATION_CONFLICT unless the row is at the generation named. */
export function refuseOtherGeneration(
  key: ResourceKey,
  row: ResourceRow | undefined,
  ifGeneration: number | undefined,
): void {
  const current = row?.generation ?? 0;
  if (ifGeneration === undefined || ifGeneration === current) return;
  const is = current === 0 ? 'does not exist' : `is at generation ${current}`;
  throw new ApiError('GENERATION_CONFLICT', `${key.kind} ${key.workspace}/${key.name} ${is}, not ${ifGeneration}.`, {
    path: 'ifGeneration',
    current,
  });
}

function refuseUpdate(context: AdmissionContext, item: Prepared & { row: ResourceRow }): void {
  const { manifest, owner } = item.input;
  const { kind, path } = manifest;
  const { row, spec } = item;
  refuseForeignOwner(context, item, owner);
  if (kind.lifecycle === 'once' && !sameJson(row.spec, spec) && isFinished(row)) {
    throw validationError([
      {
        path: `${path}.spec`,
        message: `${keyText(row)} is finished and accepts no other spec. Declare a new one.`,
        allowed: null,
      },
    ]);
  }
  const frozen: Issue[] = immutablePaths(kind.spec)
    .filter((field) => !sameJson(at(row.spec, field), at(spec, field)))
    .map((field) => ({
      path: `${path}.spec.${field}`,
      message: `"${field}" can't be changed after creation. Declare a new ${kind.name} instead.`,
      allowed: at(row.spec, field) ?? null,
    }));
  const checked = kind
    .checkUpdate(row.spec, spec)
    .map((problem) => ({ ...problem, path: dotted(`${path}.spec`, [problem.path]) }));
  const issues = [...frozen, ...checked];
  if (issues.length > 0) throw validationError(issues);
}

/** Whether a `once` row is done for good. */
export function isFinished(row: ResourceRow): boolean {
  return row.conditions.some((condition) => condition.type === 'Ready' && condition.status === 'True');
}

function refuseForeignOwner(
  context: AdmissionContext,
  item: Prepared & { row: ResourceRow },
  owner: ApplyInput['owner'],
): void {
  const { row, spec } = item;
  if (owner !== undefined) {
    if (row.ownerUid === owner.uid) return;
    throw new ApiError('IN_USE', `${keyText(row)} exists and is not owned by this parent.`, { current: row.ownerUid });
  }
  if (row.ownerUid === null) return;
  const sticky = new Set(stickyFields(item.input.manifest.kind.spec));
  const changed = Object.keys({ ...row.spec, ...spec }).filter((field) => !sameJson(row.spec[field], spec[field]));
  if (changed.every((field) => sticky.has(field)) && sameJson(row.labels, item.input.manifest.labels)) return;
  throw ownedError(context, row);
}

/** The row belongs to another: only its sticky fields may be patched. */
export function ownedError(context: AdmissionContext, row: ResourceRow): ApiError {
  const owner = [...context.snapshot.rows.values()].find((other) => other.uid === row.ownerUid);
  const name = owner === undefined ? `the row ${row.ownerUid}` : keyText(owner);
  return new ApiError(
    'IN_USE',
    `${keyText(row)} is owned by ${name}: change it there. Only sticky fields may be patched here.`,
    {
      current: name,
    },
  );
}

function at(value: JsonObject, path: string): Json | undefined {
  let found: Json | undefined = value;
  for (const part of path.split('.')) {
    if (found === null || typeof found !== 'object' || Array.isArray(found)) return undefined;
    found = (found as JsonObject)[part];
  }
  return found;
}

function refuseOverQuota(context: AdmissionContext, more: number): void {
  const rows = context.workspaceRows ?? 0;
  if (more === 0 || rows + more <= workspaceRowsMax) return;
  throw new ApiError('QUOTA_EXCEEDED', `The workspace has ${rows} rows; at most ${workspaceRowsMax} are allowed.`, {
    allowed: workspaceRowsMax,
    current: rows,
  });
}

function writeOf(context: AdmissionContext, item: Prepared): RowWrite | null {
  const { manifest } = item.input;
  const approved = approvedBy(context, item);
  const base = {
    key: manifest.key,
    labels: manifest.labels,
    annotations: manifest.annotations,
    spec: item.spec,
    by: context.principal,
    approved,
  };
  const { row } = item;
  if (row === undefined) {
    const uid = context.uuid();
    const owner = item.input.owner ?? null;
    const fires = firesOfChange(manifest.kind, null, newRow({ ...base, uid, owner, now: context.snapshot.now }));
    return { op: 'insert', uid, ...base, owner, fires };
  }
  const newGeneration = !sameJson(row.spec, item.spec) || approved.length > 0;
  const same = sameJson(row.labels, manifest.labels) && sameJson(row.annotations, manifest.annotations);
  if (!newGeneration && same) return null;
  const after = { ...row, spec: item.spec, generation: row.generation + (newGeneration ? 1 : 0) };
  return { op: 'update', uid: row.uid, ...base, newGeneration, fires: firesOfChange(manifest.kind, row, after) };
}

/** What a plan hash is bound to: the wish, not the world. */
export function desiredDigest(
  wish: { op: 'apply'; key: ResourceKey; spec: JsonObject } | { op: 'delete'; key: ResourceKey; policy: string },
): string {
  return digest(wish);
}

function approvedBy(context: AdmissionContext, item: Prepared): readonly string[] {
  if (item.input.planHash === undefined) return [];
  const wish = desiredDigest({ op: 'apply', key: item.input.manifest.key, spec: item.spec });
  return approvedActions(context, {
    hash: item.input.planHash,
    key: item.input.manifest.key,
    generation: item.row?.generation ?? 0,
    wish,
  });
}

/**
 * The action digests that a quoted plan approves. Throws PLAN_STALE, naming what moved; APPROVAL_REQUIRED if a key of no person quotes what
 * can not be undone (security.md, Risk gates): it could plan and approve that alone.
 */
export function approvedActions(
  { snapshot, principal }: AdmissionContext,
  quoted: { hash: string; key: ResourceKey; generation: number; wish: string },
): readonly string[] {
  const { plan } = snapshot;
  const stale = staleness(plan, snapshot.now, quoted);
  if (stale === null && plan !== null) {
    refuseIrreversible(principal, plan);
    return plan.actions.map((action) => action.digest);
  }
  throw new ApiError('PLAN_STALE', `The plan hash can't be used: ${stale}. Ask resources.plan again.`, {
    path: 'planHash',
  });
}

function refuseIrreversible(principal: Principal, plan: StoredPlan): void {
  const people: readonly KeyClass[] = ['human', 'sre'];
  if (people.includes(principal.class) || plan.actions.every((action) => action.risk !== 'irreversible')) return;
  throw new ApiError(
    'APPROVAL_REQUIRED',
    `The plan has an action that can never be undone, which a key of class ${principal.class} can't approve. Have a key of class human quote it.`,
    { path: 'planHash', allowed: people, current: principal.class },
  );
}

function staleness(
  plan: StoredPlan | null,
  now: number,
  quoted: { key: ResourceKey; generation: number; wish: string },
): string | null {
  if (plan === null) return 'it is unknown here';
  if (plan.expiresAt <= now) return 'it has expired';
  if (keyText(plan.ref) !== keyText(quoted.key)) return `it is of ${keyText(plan.ref)}`;
  if (plan.baseGeneration !== quoted.generation)
    return `it was made at generation ${plan.baseGeneration}, the row is at ${quoted.generation}`;
  if (plan.desiredDigest !== quoted.wish) return 'it stands for another desired state';
  return null;
}

/** The row a mutation names, or NOT_FOUND. */
export function rowOf(context: AdmissionContext, key: ResourceKey): ResourceRow {
  const row = context.snapshot.rows.get(keyText(key));
  if (row === undefined) throw notFound();
  return row;
}
