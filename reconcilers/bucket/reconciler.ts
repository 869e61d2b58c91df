import type { CallOptions, ReadContext, Reconciler, Target, WriteContext } from '#controller/contract.ts';
import { ProviderError } from '#controller/contract.ts';
import { bucket, bucketLocation, externalBucketName } from '#resources/bucket.ts';
import type { BucketSight } from '#reconcilers/providers/gcs/client.ts';
import type { ObjectView } from '#reconcilers/providers/gcs/replies.ts';
import type { BucketAction, ExposeBucket } from './actions.ts';
import type { BucketClient } from './client.ts';
import { concealed, exposedAs } from './exposure.ts';
import { contentsOf } from './observed.ts';
import type { BucketObserved } from './observed.ts';
import { planBucket } from './plan.ts';
import { ours, reportBucket } from './report.ts';

/** How late a read of Cloud Storage may show a change. */
const visibilityMs = 10_000;
/** Objects that one look into a bucket shows; emptying goes on with what it finds first. */
const peekObjectsMax = 500;
/** Objects of one emptying call, and how many are deleted at a time: 100 at 10 take about a second at 100 ms each. */
const emptyBatchObjects = 100;
const emptyParallel = 10;
/** Calls of one emptying action: 1,000 objects, far inside a pass. */
const emptyBatchesMax = 10;

/** Keeps a bucket at Cloud Storage as declared. Decisions are in plan.ts. */
export function bucketReconciler(client: BucketClient): Reconciler<typeof bucket, BucketObserved, BucketAction> {
  const calls = bucketCalls(client);
  return {
    kind: bucket,
    timing: { resyncEveryMs: 600_000, visibilityMs, maxCallMs: 30_000 },
    observe: (desired, target, ctx) => observe(calls, { target, absent: desired.state === 'absent' }, ctx),
    plan: planBucket,
    resolve(_intent, observed) {
      if (observed.sight.found === 'absent') return 'not-done';
      return ours(observed) === null ? 'undecided' : 'done';
    },
    // oxlint-disable-next-line eslint/max-params -- the contract's own form
    apply: (_desired, _target, action, ctx) => apply(calls, action, ctx),
    report: reportBucket,
    exists: (observed) => ours(observed) !== null,
    account: () => ({ provider: 'gcs', account: client.project }),
  };
}

/** The client behind the one door: which calls change something, and why each is safe. */
function bucketCalls(client: BucketClient) {
  const base = { provider: 'gcs', account: client.project };
  const read = <T>(op: string): CallOptions<T> => ({ ...base, op, mutating: false });
  const guarded = <T>(op: string): CallOptions<T> => ({ ...base, op, mutating: true, safety: 'guarded' });
  return {
    client,
    read,
    guarded,
    repeatable: <T>(op: string): CallOptions<T> => ({ ...guarded(op), safety: 'repeatable' }),
  };
}
type Calls = ReturnType<typeof bucketCalls>;

async function observe(
  { client, read }: Calls,
  { target, absent }: { target: Target<typeof bucket>; absent: boolean },
  ctx: ReadContext,
): Promise<BucketObserved> {
  const external = externalBucketName(target.workspace, target.name);
  const seenBefore = target.last.external !== undefined;
  // To miss what was there needs two answers: one false "not found" must neither let a row go nor call its data lost.
  const sure = absent || seenBefore;
  const sight = await ctx.call(read('buckets.get'), (signal) => client.look(external, { sure, signal }));
  const seen: BucketObserved = {
    uid: target.uid,
    workspace: target.workspace,
    name: target.name,
    external,
    seenBefore,
    sight,
    policy: null,
    policyLags: false,
    contents: null,
  };
  if (ours(seen) === null) return seen;
  if (!absent) {
    return {
      ...seen,
      policy: await ctx.call(read('buckets.getIamPolicy'), (signal) => client.policy(external, signal)),
      policyLags: isFresh(sight, ctx.now),
    };
  }
  const query = { limit: peekObjectsMax, versions: true };
  const page = await ctx.call(read('objects.list'), (signal) => client.objects(external, query, signal));
  return { ...seen, contents: page === null ? null : contentsOf(page, ctx.now) };
}

/** The bucket and its policy are two reads, and each may lag by itself. */
function isFresh(sight: BucketSight, now: number): boolean {
  const changedAt = sight.found === 'readable' ? sight.bucket.updatedAt : null;
  return changedAt !== null && Date.parse(changedAt) + visibilityMs > now;
}

async function apply(calls: Calls, action: BucketAction, ctx: WriteContext): Promise<void> {
  const { client, guarded } = calls;
  const name = action.bucket;
  switch (action.type) {
    case 'create': {
      const { body, objectRetention } = action;
      const options = { ...guarded('buckets.insert'), location: bucketLocation };
      await ctx.call(options, (signal) => client.create(body, { objectRetention }, signal));
      return;
    }
    case 'adopt':
    case 'update':
    case 'release': {
      const change = { patch: action.patch, metageneration: action.guard.metageneration };
      await ctx.call(guarded('buckets.patch'), (signal) => client.patch(name, change, signal));
      return;
    }
    case 'lock-retention': {
      const { metageneration } = action.guard;
      await ctx.call(guarded('buckets.lockRetentionPolicy'), (signal) =>
        client.lockRetention(name, metageneration, signal),
      );
      return;
    }
    case 'expose':
      return expose(calls, action, ctx);
    case 'conceal':
      return setExposure(calls, { name, publicRead: action.publicRead, grant: false }, ctx);
    case 'empty':
      return empty(calls, name, ctx);
    case 'delete': {
      const { metageneration } = action.guard;
      await ctx.call(guarded('buckets.delete'), (signal) => client.delete(name, metageneration, signal));
    }
  }
}

async function expose(calls: Calls, action: ExposeBucket, ctx: WriteContext): Promise<void> {
  const { client, guarded } = calls;
  const { metageneration, prevented } = action.guard;
  if (prevented) {
    const patch = { iamConfiguration: { publicAccessPrevention: 'inherited' } };
    await ctx.call(guarded('buckets.patch'), (signal) =>
      client.patch(action.bucket, { patch, metageneration }, signal),
    );
  }
  await setExposure(calls, { name: action.bucket, publicRead: true, grant: true }, ctx);
}

/**
 * Read, change, write back with the etag: bindings of others stay, and a change in between is refused by the provider. Written also where
 * it reads as wanted already: a read may lag, and the etag tells.
 */
async function setExposure(
  { client, read, guarded }: Calls,
  wish: { name: string; publicRead: boolean; grant: boolean },
  ctx: WriteContext,
): Promise<void> {
  const policy = await ctx.call(read('buckets.getIamPolicy'), (signal) => client.policy(wish.name, signal));
  if (policy === null) return; // the bucket vanished: the next look tells
  const wanted = wish.grant ? exposedAs(policy, wish.publicRead) : concealed(policy, wish.publicRead);
  await ctx.call(guarded('buckets.setIamPolicy'), (signal) => client.setPolicy(wish.name, wanted, signal));
}

/** Deletes up to emptyBatchesMax × emptyBatchObjects versions. What is retained is passed over; the next look tells of it. */
async function empty({ client, read, repeatable }: Calls, name: string, ctx: WriteContext): Promise<void> {
  let cursor: string | undefined;
  for (let batch = 0; batch < emptyBatchesMax; batch += 1) {
    const query = { limit: emptyBatchObjects, versions: true, ...(cursor === undefined ? {} : { cursor }) };
    const page = await ctx.call(read('objects.list'), (signal) => client.objects(name, query, signal));
    if (page === null || page.objects.length === 0) return;
    await ctx.call(repeatable('objects.delete'), (signal) =>
      deleteAll(client, { name, objects: page.objects }, signal),
    );
    if (page.nextCursor === null) return;
    cursor = page.nextCursor;
  }
}

async function deleteAll(
  client: BucketClient,
  { name, objects }: { name: string; objects: readonly ObjectView[] },
  signal: AbortSignal,
): Promise<void> {
  for (let start = 0; start < objects.length; start += emptyParallel) {
    signal.throwIfAborted();
    const some = objects.slice(start, start + emptyParallel);
    await Promise.all(
      some.map(({ key, generation }) => deleteUnlessRetained(client, name, { key, generation, signal })),
    );
  }
}

async function deleteUnlessRetained(
  client: BucketClient,
  name: string,
  { key, generation, signal }: { key: string; generation: string; signal: AbortSignal },
): Promise<void> {
  try {
    await client.deleteObject(name, { key, generation }, signal);
  } catch (error) {
    if (error instanceof ProviderError && error.detail.reason === 'RetentionUntil') return;
    throw error;
  }
}
