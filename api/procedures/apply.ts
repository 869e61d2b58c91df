import { z } from 'zod';
import { admissionReads, admitApply, rowOf } from '#resources/admission.ts';
import type { ApplyInput } from '#resources/admission.ts';
import { validationError } from '#resources/errors.ts';
import type { JsonObject } from '#resources/json.ts';
import { parseManifest } from '#resources/manifest.ts';
import type { Manifest } from '#resources/manifest.ts';
import { patchedManifest } from '#resources/merge-patch.ts';
import type { RowWrite } from '#resources/mutation.ts';
import type { ResourceKey } from '#resources/resource.ts';
import { admit, demand } from '#api/admission/chain.ts';
import { answersOf, single } from '#api/answers.ts';
import type { Answer } from '#api/answers.ts';
import { kindOf } from '#api/context.ts';
import type { ApiDeps, Call } from '#api/context.ts';
import { withPaths } from '#api/errors.ts';
import { requireScope, requireWorkspace } from '#api/scopes.ts';
import { generationInput, keyInput, keyOf, planHashInput, requestIdInput } from './inputs.ts';

export const applyInput = z.strictObject({
  manifest: z.unknown(),
  requestId: requestIdInput.optional(),
  ifGeneration: generationInput.optional(),
  planHash: planHashInput.optional(),
});

export const patchInput = z.strictObject({
  ...keyInput,
  patch: z.record(z.string(), z.json()),
  ifGeneration: generationInput.optional(),
  planHash: planHashInput.optional(),
  requestId: requestIdInput.optional(),
});

export const applyAllInput = (manifestsMax: number) =>
  z.strictObject({
    manifests: z.array(z.unknown()).min(1).max(manifestsMax),
    requestId: requestIdInput.optional(),
  });

/** What every mutation of rows may carry besides its wish. `input` is the whole input, whose digest stands for the request. */
export interface Conditions {
  readonly ifGeneration?: number | undefined;
  readonly planHash?: string | undefined;
  readonly requestId?: string | undefined;
  readonly input: object;
  /** The action that the key's scopes must allow in the kind's area; what the kind says unless a verb says otherwise. */
  readonly scope?: 'write' | 'delete';
}

/** Declares one manifest: creates the row or replaces its spec. */
export async function apply(
  deps: ApiDeps,
  call: Call,
  { manifest, ...conditions }: Conditions & { readonly manifest: unknown },
): Promise<Answer> {
  const parsed = parseManifest(manifest, deps.kinds, 'manifest');
  permit(call, parsed, conditions.scope);
  return single(await applyParsed(deps, call, { manifests: [parsed], ...conditions }));
}

/** Declares manifests of one workspace, all or nothing. */
export async function applyAll(
  deps: ApiDeps,
  call: Call,
  { manifests, ...conditions }: Conditions & { readonly manifests: readonly unknown[] },
): Promise<readonly Answer[]> {
  const parsed = manifests.map((manifest, index) => parseManifest(manifest, deps.kinds, `manifests[${index}]`));
  for (const manifest of parsed) permit(call, manifest, conditions.scope);
  refuseSecondWorkspace(parsed);
  return applyParsed(deps, call, { manifests: parsed, ...conditions });
}

function permit(call: Call, { key, kind }: Manifest, scope: 'write' | 'delete' = kind.declaring): void {
  requireWorkspace(call.principal, key.workspace);
  requireScope(call.principal, kind.area, scope);
}

function refuseSecondWorkspace(manifests: readonly Manifest[]): void {
  const workspace = manifests[0]?.key.workspace;
  const issues = manifests
    .filter((manifest) => manifest.key.workspace !== workspace)
    .map((manifest) => ({
      path: `${manifest.path}.metadata.workspace`,
      message: 'The manifests of one call belong to one workspace. Make one call for each.',
      allowed: workspace === undefined ? null : [workspace],
    }));
  if (issues.length > 0) throw validationError(issues);
}

async function applyParsed(
  deps: ApiDeps,
  call: Call,
  input: Conditions & { readonly manifests: readonly Manifest[] },
): Promise<readonly Answer[]> {
  const { manifests, requestId, planHash } = input;
  const workspace = manifests[0]?.key.workspace ?? '';
  const inputs = manifests.map((manifest) => applyOf(manifest, input));
  const admitted = await admit(deps, call, {
    workspace,
    reads: admissionReads(manifests),
    planHash,
    requestId,
    input: input.input,
    decide: (context) => {
      const results = admitApply(context, inputs);
      return {
        writes: results.flatMap((result) => (result.write === null ? [] : [result.write])),
        result: results.map((result) => result.kept),
      };
    },
  });
  return answersOf(deps, call, { workspace, keys: manifests.map(keyOfManifest), admitted, kept: (kept) => kept });
}

const keyOfManifest = (manifest: Manifest): ResourceKey => manifest.key;

function applyOf(manifest: Manifest, conditions: Conditions): ApplyInput {
  const { ifGeneration, planHash } = conditions;
  return {
    manifest,
    ...(ifGeneration === undefined ? {} : { ifGeneration }),
    ...(planHash === undefined ? {} : { planHash }),
  };
}

/** Merges a patch into a row's spec (RFC 7396). The row must exist. */
export async function patch(
  deps: ApiDeps,
  call: Call,
  input: Conditions & { readonly key: ResourceKey; readonly patch: JsonObject },
): Promise<Answer> {
  const { requestId, planHash } = input;
  const key = keyOf(input.key);
  const kind = kindOf(deps, key.kind);
  requireWorkspace(call.principal, key.workspace);
  requireScope(call.principal, kind.area, input.scope ?? kind.declaring);
  const admitted = await withPaths([['patch.spec.', 'patch.']], () =>
    admit(deps, call, {
      workspace: key.workspace,
      reads: [key, { ...key, kind: 'Workspace', name: key.workspace }],
      planHash,
      requestId,
      input: input.input,
      decide: (context, has) => {
        const manifest = patchedManifest(kind, rowOf(context, key), input.patch);
        demand(admissionReads([manifest]), has);
        const [result] = admitApply(context, [applyOf(manifest, input)]);
        const writes: readonly RowWrite[] = result === undefined || result.write === null ? [] : [result.write];
        return { writes, result: null };
      },
    }),
  );
  return single(await answersOf(deps, call, { workspace: key.workspace, keys: [key], admitted, kept: () => [[]] }));
}
