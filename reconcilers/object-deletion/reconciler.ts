import type { ReadContext, Reconciler, Target } from '#controller/contract.ts';
import type { JsonObject } from '#resources/json.ts';
import type { SpecOf } from '#resources/kind.ts';
import { bucketOfDeletion, objectDeletion } from '#resources/object-deletion.ts';
import type { ObjectView } from '#reconcilers/providers/gcs/replies.ts';
import type { ObjectClient } from './client.ts';
import { planDeletion } from './plan.ts';
import type { DeleteObject, DeletionObserved, SeenObject } from './plan.ts';

/** Deletes one object, once. Decisions are in plan.ts. */
export function objectDeletionReconciler(
  client: ObjectClient,
): Reconciler<typeof objectDeletion, DeletionObserved, DeleteObject> {
  const base = { provider: 'gcs', account: client.project };
  return {
    kind: objectDeletion,
    timing: { resyncEveryMs: 600_000, visibilityMs: 10_000, maxCallMs: 30_000 },
    observe: (desired, target, ctx) => observe(client, { spec: desired.spec, target }, ctx),
    plan: planDeletion,
    resolve: (_intent, observed) => (observed.object === null ? 'done' : 'not-done'),
    // oxlint-disable-next-line eslint/max-params -- the contract's own form
    async apply(_desired, _target, action, ctx) {
      const { bucket, key, generation, guard } = action;
      const object = generation === null ? { key, ifGeneration: guard.generation } : { key, generation };
      const options = { ...base, op: 'objects.delete', mutating: true, safety: 'guarded' } as const;
      await ctx.call(options, (signal) => client.deleteObject(bucket, object, signal));
    },
    report(desired, observed) {
      if (observed.bucket === null) return { status: {}, facts: [] };
      const gone = observed.object === null;
      return {
        status: { external: { bucket: observed.bucket, name: desired.spec.name } },
        facts: [
          gone
            ? { type: 'Deleted', status: 'True', reason: 'Deleted', message: 'The object is not there.' }
            : { type: 'Deleted', status: 'False', reason: 'StillThere', message: 'The object is there.' },
        ],
      };
    },
    exists: (observed) => observed.object !== null,
    account: () => ({ provider: 'gcs', account: client.project }),
  };
}

async function observe(
  client: ObjectClient,
  { spec, target }: { spec: SpecOf<typeof objectDeletion>; target: Target<typeof objectDeletion> },
  ctx: ReadContext,
): Promise<DeletionObserved> {
  const wanted = bucketOfDeletion(target.workspace, spec);
  const row = await ctx.read('Bucket', spec.bucket);
  const bucket = externalName(row.outputs) === wanted ? wanted : null;
  const seen = { uid: target.uid, workspace: target.workspace, name: target.name, bucket };
  if (bucket === null) return { ...seen, object: null };
  const options = { provider: 'gcs', account: client.project, op: 'objects.get', mutating: false };
  const object = await ctx.call(options, (signal) =>
    client.object(bucket, spec.name, { ...(spec.generation === null ? {} : { generation: spec.generation }), signal }),
  );
  return { ...seen, object: object === null ? null : seenObject(object, ctx.now) };
}

/** What the Bucket row shows once a pass has seen the bucket with our mark. */
function externalName(outputs: JsonObject): string | null {
  const external = outputs['external'];
  if (external === null || typeof external !== 'object' || Array.isArray(external)) return null;
  const { name } = external as JsonObject;
  return typeof name === 'string' ? name : null;
}

function seenObject({ generation, retainedUntil, onHold }: ObjectView, now: number): SeenObject {
  const inForce = retainedUntil !== null && Date.parse(retainedUntil) > now;
  return { generation, retainedUntil: inForce ? retainedUntil : null, onHold };
}
