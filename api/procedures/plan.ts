import { z } from 'zod';
import { validationError } from '#resources/errors.ts';
import type { Json } from '#resources/json.ts';
import { parseManifest } from '#resources/manifest.ts';
import type { ResourceKey } from '#resources/resource.ts';
import { kindOf } from '#api/context.ts';
import type { ApiDeps, Call } from '#api/context.ts';
import { requireScope, requireWorkspace } from '#api/scopes.ts';
import { storable, workspaceInput } from './inputs.ts';

export const planInput = (changesMax: number) =>
  z.strictObject({
    workspace: workspaceInput,
    changes: z
      .array(
        z.union([
          z.strictObject({ apply: z.unknown() }),
          z.strictObject({
            delete: z.strictObject({
              kind: z.string().min(1).max(64),
              name: storable(253).min(1),
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

/** Asks the reader, which alone holds the kinds, what changes would do. Changes no desired state. */
export async function plan(deps: ApiDeps, call: Call, input: PlanInput): Promise<Json> {
  requireWorkspace(call.principal, input.workspace);
  for (const [index, change] of input.changes.entries()) {
    const { key, path } = keyOfChange(deps, { change, index, workspace: input.workspace });
    requireScope(call.principal, kindOf(deps, key.kind, path).area, 'read');
  }
  const { workspace, changes, fresh } = input;
  return deps.reader.plan({ workspace, changes: changes as readonly Json[], fresh, traceId: call.traceId });
}

function keyOfChange(
  deps: ApiDeps,
  { change, index, workspace }: { change: PlanInput['changes'][number]; index: number; workspace: string },
): { readonly key: ResourceKey; readonly path: string } {
  const path = `changes[${index}]`;
  if ('delete' in change) return { key: { workspace, ...change.delete }, path: `${path}.delete.kind` };
  const { key } = parseManifest(change.apply, deps.kinds, `${path}.apply`);
  if (key.workspace === workspace) return { key, path: `${path}.apply.kind` };
  throw validationError([
    {
      path: `${path}.apply.metadata.workspace`,
      message: 'All changes of one plan belong to its workspace.',
      allowed: [workspace],
    },
  ]);
}
