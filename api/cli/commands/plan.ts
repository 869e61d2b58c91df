import type { CliContext } from '#api/cli/context.ts';
import { byWorkspace, readManifests } from '#api/cli/manifests.ts';
import { print, structured, table } from '#api/cli/output.ts';
import type { Format } from '#api/cli/output.ts';
import type { Json } from '#resources/json.ts';
import type { ResourceKey } from '#resources/resource.ts';

/** What resources.plan answers for each change. */
interface Planned {
  readonly ref: ResourceKey;
  readonly baseGeneration: number;
  readonly diff: readonly { readonly path: string; readonly have: Json; readonly want: Json }[];
  readonly actions: readonly { readonly type: string; readonly effect: string; readonly risk: string }[];
  readonly risk: string;
  readonly hash: string;
}

/** `vibn plan -f`: what an apply of these manifests would do; changes no desired state. The hash is what --plan-hash quotes. */
export async function plan(
  context: CliContext,
  options: { filename: readonly string[]; fresh?: boolean; output: Format },
): Promise<void> {
  for (const group of byWorkspace(readManifests(options.filename))) {
    const planned = await context.client.call<readonly Planned[]>('resources.plan', {
      workspace: group[0]?.workspace ?? '',
      changes: group.map((one) => ({ apply: one.manifest })),
      fresh: options.fresh === true,
    });
    if (options.output === 'json' || options.output === 'yaml') print(structured(planned, options.output));
    else print(table(['REF', 'GENERATION', 'RISK', 'ACTIONS', 'CHANGES', 'HASH'], planned.map(planRow)));
  }
}

function planRow(one: Planned): string[] {
  const actions = one.actions.length === 0 ? 'none' : one.actions.map((action) => action.type).join(', ');
  const changes = one.diff
    .map((change) => `${change.path}: ${JSON.stringify(change.have)} → ${JSON.stringify(change.want)}`)
    .join('; ');
  return [
    `${one.ref.kind.toLowerCase()}/${one.ref.name}`,
    String(one.baseGeneration),
    one.risk,
    actions,
    changes,
    one.hash,
  ];
}
