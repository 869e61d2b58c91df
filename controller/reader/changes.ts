import { z } from 'zod';
import { admissionFollow, admissionReads, admitApply, defaultedSpec, desiredDigest } from '#resources/admission.ts';
import type { AdmissionContext } from '#resources/admission.ts';
import { admitDelete } from '#resources/admit-delete.ts';
import { validationError } from '#resources/errors.ts';
import { issuesOf } from '#resources/issues.ts';
import { parseManifest } from '#resources/manifest.ts';
import type { Manifest } from '#resources/manifest.ts';
import { keyText } from '#resources/reference.ts';
import type { KindRegistry } from '#resources/registry.ts';
import { newRow } from '#resources/new-row.ts';
import type { DeletionPolicy, Principal, ResourceKey, ResourceRow } from '#resources/resource.ts';
import type { Clock, Rng } from '#controller/clock.ts';
import type { Desired } from '#controller/contract.ts';
import type { ReaderOptions } from '#controller/options.ts';
import type { EngineStore } from '#controller/store/engine-store.ts';
import { gatherRows } from './gather.ts';

/** A change that admission would let pass, with what it asks of the world. */
export interface AdmittedChange {
  readonly key: ResourceKey;
  /** As stored; null: it does not exist. */
  readonly stored: ResourceRow | null;
  /** As it would be after the change. */
  readonly row: ResourceRow;
  readonly desired: Desired;
  /** What a quoted hash will be compared with. */
  readonly desiredDigest: string;
}

const planInput = (changesMax: number) =>
  z.strictObject({
    workspace: z.string().min(1).max(64),
    changes: z
      .array(
        z.union([
          z.strictObject({ apply: z.unknown() }),
          z.strictObject({
            delete: z.strictObject({
              kind: z.string().min(1).max(64),
              name: z.string().min(1).max(253),
              policy: z.enum(['Delete', 'Orphan']).optional(),
            }),
          }),
        ]),
      )
      .min(1)
      .max(changesMax),
    fresh: z.boolean().default(false),
  });

export type PlanInput = z.output<ReturnType<typeof planInput>>;

/** Parses the body of a plan request. Throws VALIDATION with all problems. */
export function parsePlanInput(body: unknown, options: ReaderOptions): PlanInput {
  const schema = planInput(options.changesMax);
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw validationError(issuesOf(parsed.error, '', Object.keys(schema.shape)));
  return parsed.data;
}

export interface AdmitDeps {
  readonly engine: Pick<EngineStore, 'readKey'>;
  readonly kinds: KindRegistry;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly options: ReaderOptions;
}

/** Who may ask what was decided by the API; here it is only asked what a change would do. */
const asker: Principal = { keyId: 'reader', lineage: 'reader', class: 'sre', workspace: null, scopes: ['*'] };

type ApplyChange = { readonly manifest: Manifest };
type DeleteChange = { readonly key: ResourceKey; readonly policy: DeletionPolicy | undefined };

/**
 * Admits all changes together, as `apply_all` would, without writing: throws what admission throws. Quotas are left to the API.
 */
export async function admitChanges(deps: AdmitDeps, input: PlanInput): Promise<readonly AdmittedChange[]> {
  const changes = input.changes.map((change, index) => parseChange(deps.kinds, input.workspace, { change, index }));
  const manifests = changes.flatMap((change) => ('manifest' in change ? [change.manifest] : []));
  const deleted = changes.flatMap((change) => ('manifest' in change ? [] : [change.key]));
  const workspaceKey = { workspace: input.workspace, kind: 'Workspace', name: input.workspace };
  const rows = await gatherRows({
    engine: deps.engine,
    keys: [...admissionReads(manifests), ...deleted, workspaceKey],
    follow: admissionFollow(deps.kinds),
    rowsMax: deps.options.rowsMax,
  });
  const now = deps.clock.now();
  const snapshot = { now, version: 0, rows, children: [], request: null, plan: null };
  const context = { kinds: deps.kinds, snapshot, principal: asker, uuid: () => deps.rng.uuid() };
  if (manifests.length > 0)
    admitApply(
      context,
      manifests.map((manifest) => ({ manifest })),
    );
  return changes.map((change) =>
    'manifest' in change ? appliedChange(context, change) : deletedChange(context, change),
  );
}

function parseChange(
  kinds: KindRegistry,
  workspace: string,
  { change, index }: { change: PlanInput['changes'][number]; index: number },
): ApplyChange | DeleteChange {
  if ('delete' in change) {
    const { kind, name, policy } = change.delete;
    return { key: { workspace, kind, name }, policy };
  }
  const path = `changes[${index}].apply`;
  const manifest = parseManifest(change.apply, kinds, path);
  if (manifest.key.workspace === workspace) return { manifest };
  const message = 'All changes of one plan belong to its workspace.';
  throw validationError([{ path: `${path}.metadata.workspace`, message, allowed: [workspace] }]);
}

function appliedChange({ snapshot, uuid }: AdmissionContext, { manifest }: ApplyChange): AdmittedChange {
  const { key } = manifest;
  const stored = snapshot.rows.get(keyText(key)) ?? null;
  const { spec } = defaultedSpec(manifest, stored ?? undefined);
  // The uid of a row that is not there yet is not the one that it will get.
  const born = (): ResourceRow => newRow({ key, uid: uuid(), spec, by: asker, now: snapshot.now });
  const row = stored === null ? born() : { ...stored, generation: stored.generation + 1 };
  return {
    key,
    stored,
    row: { ...row, spec },
    desired: { state: 'present', spec },
    desiredDigest: desiredDigest({ op: 'apply', key, spec }),
  };
}

function deletedChange(context: AdmissionContext, { key, policy: asked }: DeleteChange): AdmittedChange {
  const write = admitDelete(context, { key, confirm: key.name, ...(asked === undefined ? {} : { policy: asked }) });
  const stored = context.snapshot.rows.get(keyText(key));
  if (stored === undefined) throw new Error('admission let a missing row be deleted');
  const policy = write?.op === 'delete' ? write.policy : (stored.deletionPolicy ?? 'Delete');
  const { now } = context.snapshot;
  const generation = stored.generation + (write === null ? 0 : 1);
  return {
    key,
    stored,
    row: { ...stored, generation, deletedAt: stored.deletedAt ?? now, deletionPolicy: policy },
    desired: { state: 'absent', policy, spec: stored.spec },
    desiredDigest: desiredDigest({ op: 'delete', key, policy }),
  };
}
