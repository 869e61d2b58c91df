import { randomUUID } from 'node:crypto';
import { getResource } from '#api/cli/context.ts';
import type { CliContext } from '#api/cli/context.ts';
import { byWorkspace, readManifests } from '#api/cli/manifests.ts';
import type { ManifestFile } from '#api/cli/manifests.ts';
import { print, printResources, refText } from '#api/cli/output.ts';
import type { Format } from '#api/cli/output.ts';
import type { Resource } from '#resources/resource.ts';

export interface ApplyOptions {
  readonly filename: readonly string[];
  readonly output: Format;
  readonly planHash?: string;
}

/** `vibn apply -f`: the manifests of each workspace in one transaction, all or nothing. Says of each whether it was made, changed or left. */
export async function apply(context: CliContext, options: ApplyOptions): Promise<void> {
  const applied: Resource[] = [];
  for (const group of byWorkspace(readManifests(options.filename))) {
    const before = await Promise.all(group.map((one) => existing(context, one)));
    const after = await send(context, group, options.planHash);
    applied.push(...after);
    if (options.output === 'table')
      after.forEach((item, index) => print(`${refText(item)} ${verdict(before[index] ?? null, item)}`));
  }
  if (options.output !== 'table') printResources(applied, options.output, context.now());
}

async function send(
  context: CliContext,
  group: readonly ManifestFile[],
  planHash: string | undefined,
): Promise<Resource[]> {
  const requestId = randomUUID();
  const [only, ...more] = group;
  if (only !== undefined && more.length === 0) {
    const quoted = planHash === undefined ? {} : { planHash };
    return [await context.client.call<Resource>('resources.apply', { manifest: only.manifest, requestId, ...quoted })];
  }
  return await context.client.call<Resource[]>('resources.apply_all', {
    manifests: group.map((one) => one.manifest),
    requestId,
  });
}

async function existing(context: CliContext, one: ManifestFile): Promise<Resource | null> {
  return await getResource(context, { workspace: one.workspace, kind: one.kind, name: one.name }).catch(() => null);
}

function verdict(before: Resource | null, after: Resource): string {
  if (before === null || before.metadata.uid !== after.metadata.uid) return 'created';
  if (before.metadata.generation !== after.metadata.generation)
    return `configured (generation ${after.metadata.generation})`;
  const same =
    JSON.stringify([before.metadata.labels, before.metadata.annotations]) ===
    JSON.stringify([after.metadata.labels, after.metadata.annotations]);
  return same ? 'unchanged' : 'labelled';
}
