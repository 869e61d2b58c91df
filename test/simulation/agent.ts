import { admissionFollow, admissionReads, admitApply } from '#resources/admission.ts';
import type { AdmissionContext } from '#resources/admission.ts';
import { admitDelete, admitUndelete } from '#resources/admit-delete.ts';
import { projectResource } from '#resources/conditions.ts';
import { apiVersion, parseManifest } from '#resources/manifest.ts';
import type { JsonObject } from '#resources/json.ts';
import type { KindRegistry } from '#resources/registry.ts';
import type { Principal, Resource, ResourceKey, ResourceRow } from '#resources/resource.ts';
import { shardOf } from '#resources/shard.ts';
import type { MutationSnapshot, RowWrite } from '#resources/mutation.ts';
import type { BareWorld } from './bare-world.ts';

/** Declares through admission and the ResourceStore, as the API does, and reads what everybody reads. */
export interface Agent {
  apply(key: ResourceKey, spec: JsonObject): Promise<string>;
  remove(key: ResourceKey): Promise<void>;
  undelete(key: ResourceKey): Promise<void>;
  get(key: ResourceKey): Resource | null;
  row(key: ResourceKey): ResourceRow | null;
}

const principal: Principal = { keyId: 'agent', lineage: 'agent', class: 'human', workspace: null, scopes: ['*'] };

/** An agent with a platform key of class human. Throws ApiError for what admission refuses. */
export function createAgent(world: BareWorld, kinds: KindRegistry): Agent {
  const mutate = async (
    keys: readonly ResourceKey[],
    decide: (context: AdmissionContext) => readonly (RowWrite | null)[],
  ): Promise<readonly { readonly uid: string }[]> => {
    const workspace = keys[0]?.workspace ?? '';
    const outcome = await world.stores.resources.mutate({
      scope: 'platform',
      workspace,
      reads: keys,
      follow: admissionFollow(kinds),
      decide: (snapshot: MutationSnapshot) => {
        const context = { kinds, snapshot, principal, uuid: () => world.rng.uuid() };
        return decide(context).filter((write) => write !== null);
      },
    });
    return outcome.results;
  };
  const row = (key: ResourceKey): ResourceRow | null => {
    const tables = world.db.shards.get(shardOf(key.workspace));
    const uid = tables?.byKey.get(`${key.kind}/${key.workspace}/${key.name}`);
    return (uid === undefined ? undefined : tables?.rows.get(uid)) ?? null;
  };
  // Read at every step, and changed at few. What is stored is never changed in place.
  const shown = new WeakMap<ResourceRow, { work: unknown; owner: unknown; resource: Resource }>();
  return {
    async apply(key, spec) {
      const { workspace, name, kind } = key;
      const manifest = parseManifest({ apiVersion, kind, metadata: { workspace, name }, spec }, kinds, 'manifest');
      const reads = admissionReads([manifest]);
      await mutate(reads, (context) => admitApply(context, [{ manifest }]).map((one) => one.write));
      return row(key)?.uid ?? '';
    },
    async remove(key) {
      await mutate([key, workspaceOf(key)], (context) => [admitDelete(context, { key, confirm: key.name })]);
    },
    async undelete(key) {
      await mutate([key], (context) => [admitUndelete(context, key)]);
    },
    get(key) {
      const found = row(key);
      if (found === null) return null;
      const tables = world.db.shards.get(found.shard);
      const work = tables?.work.get(found.uid);
      const owner = found.ownerUid === null ? undefined : tables?.rows.get(found.ownerUid);
      const known = shown.get(found);
      if (known !== undefined && known.work === work && known.owner === owner) return known.resource;
      const resource = projectResource({
        row: found,
        work: work === undefined ? null : { attempts: work.attempts, dueAt: work.dueAt, verifiedAt: work.verifiedAt },
        owner: owner === undefined ? null : { kind: owner.kind, name: owner.name },
      });
      shown.set(found, { work, owner, resource });
      return resource;
    },
    row,
  };
}

function workspaceOf({ workspace }: ResourceKey): ResourceKey {
  return { workspace, kind: 'Workspace', name: workspace };
}
