import type postgres from 'postgres';
import { shardOf } from '#resources/shard.ts';
import type { JsonObject } from '#resources/json.ts';
import type { Kind } from '#resources/kind.ts';
import type { Principal } from '#resources/resource.ts';
import { workspace } from '#resources/workspace.ts';
import { noop } from './noop-kind.ts';

/** Workspaces, one in each of so many shards. */
export function workspacesIn(shards: number): readonly string[] {
  const found = new Map<number, string>();
  for (let n = 0; found.size < shards; n += 1) {
    const slug = `bench${n.toString(36)}x`;
    if (!found.has(shardOf(slug))) found.set(shardOf(slug), slug);
  }
  return [...found.values()];
}

/** The spec that an empty one becomes. */
export function parsed(kind: Kind): JsonObject {
  return kind.spec.parse({}) as JsonObject;
}

export const by: Principal = { keyId: 'bench', lineage: 'bench', class: 'human', workspace: null, scopes: ['*'] };

/** Declares the Workspace rows, ready, and `perWorkspace` Noops in each, never yet reconciled, due in an hour. */
export async function seedRows(
  owner: postgres.Sql,
  { workspaces, perWorkspace }: { readonly workspaces: readonly string[]; readonly perWorkspace: number },
): Promise<void> {
  for (const slug of workspaces) {
    const place = { shard: shardOf(slug), slug };
    await insert(owner, { ...place, kind: workspace.name, spec: parsed(workspace), names: [slug] });
    const names = Array.from({ length: perWorkspace }, (_, n) => `row-${n}`);
    await insert(owner, { ...place, kind: noop.name, spec: parsed(noop), names });
    await owner`update shards set version = ${perWorkspace + 1} where shard = ${place.shard}`;
  }
  await owner`
    update resources set status = jsonb_build_object('slug', workspace), observed_generation = 1, conditions = ${owner.json([ready])}
    where kind = 'Workspace'`;
  await owner.unsafe('vacuum analyze resources, work, revisions, listeners');
}

const ready = {
  type: 'Ready',
  status: 'True',
  reason: 'Available',
  message: 'The declared generation is in effect.',
  observedGeneration: 1,
  lastTransitionTime: '2026-01-01T00:00:00.000Z',
};

interface Inserted {
  readonly shard: number;
  readonly slug: string;
  readonly kind: string;
  readonly spec: JsonObject;
  readonly names: readonly string[];
}

async function insert(owner: postgres.Sql, { shard, slug, kind, spec, names }: Inserted): Promise<void> {
  const stored = owner.json(spec);
  await owner`
    insert into resources (shard, uid, workspace, kind, name, generation, version, spec, created_by, created_at, updated_at)
    select ${shard}, gen_random_uuid()::text, ${slug}, ${kind}, n.name, 1, n.place, ${stored}, ${owner.json({ ...by })},
      statement_timestamp(), statement_timestamp()
    from unnest(${[...names]}::text[]) with ordinality as n(name, place)`;
  await owner`
    insert into revisions (shard, uid, generation, workspace, spec, by, approved, confirmed, at)
    select shard, uid, 1, workspace, spec, created_by, '{}', false, created_at
    from resources where shard = ${shard} and workspace = ${slug} and kind = ${kind}`;
  await owner`
    insert into work (shard, uid, workspace, kind, due_at, priority)
    select shard, uid, workspace, kind, statement_timestamp() + interval '1 hour', 'replay'
    from resources where shard = ${shard} and workspace = ${slug} and kind = ${kind}`;
}

/** Makes every Noop due now, as a resync would be, and answers how many there are. */
export async function makeDue(owner: postgres.Sql): Promise<number> {
  const rows = await owner`
    update work set due_at = statement_timestamp() - interval '1 second', priority = 'resync'
    where kind = ${noop.name}`;
  await owner.unsafe('vacuum work');
  return rows.count;
}
