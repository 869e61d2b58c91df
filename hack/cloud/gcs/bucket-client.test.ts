import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Desired } from '#controller/contract.ts';
import { bucketReconciler } from '#reconcilers/bucket/reconciler.ts';
import { objectDeletionReconciler } from '#reconcilers/object-deletion/reconciler.ts';
import { bucket } from '#resources/bucket.ts';
import type { JsonObject } from '#resources/json.ts';
import { objectDeletion } from '#resources/object-deletion.ts';
import { driveKind } from '#test/support/drive-kind.ts';
import type { Drive } from '#test/support/drive-kind.ts';
import { CallLog } from '#hack/cloud/call-log.ts';
import { manualClock } from '#hack/cloud/clock.ts';
import { FAULTS, Faults } from '#hack/cloud/faults.ts';
import { inProcessBucketClient, inProcessTransport } from './bucket-client.ts';
import { openGcs } from './in-process.ts';
import { createGcsModel } from './model.ts';

const uid = '0b9d7a5e-0000-4000-8000-000000000001';
const name = 'vibn-ws-acme-uploads';

/** A cloud in memory with virtual time, and the kinds' reconcilers over it. */
function stage() {
  const clock = manualClock();
  const late: { atMs: number; run: () => void }[] = [];
  const advance = (ms: number): void => {
    clock.advance(ms);
    for (const effect of late.filter(({ atMs }) => atMs <= clock.now())) {
      late.splice(late.indexOf(effect), 1);
      effect.run();
    }
  };
  const model = createGcsModel({ clock, rates: 'off' });
  const faults = new Faults();
  const calls = new CallLog(clock);
  const later = (delayMs: number, run: () => void): void => void late.push({ atMs: clock.now() + delayMs, run });
  const door = openGcs(model, { faults, calls, later });
  const sleep = (ms: number): Promise<void> => Promise.resolve(advance(ms));
  const client = inProcessBucketClient(door, { sleep });
  const ask = inProcessTransport(door, { sleep });
  const raw = async (
    method: 'GET' | 'PATCH' | 'PUT' | 'POST',
    path: string,
    more: object = {},
  ): Promise<JsonObject> => {
    const reply = await ask({ method, path, query: {}, ...more }, new AbortController().signal);
    if (reply.status >= 300) throw new Error(JSON.stringify(reply.body));
    return reply.body as JsonObject;
  };
  const drive = (spec: JsonObject = {}, how: Drive & { gone?: 'Delete' | 'Orphan'; last?: JsonObject } = {}) => {
    const parsed = bucket.spec.parse(spec);
    const desired: Desired<typeof bucket> =
      how.gone === undefined ? { state: 'present', spec: parsed } : { state: 'absent', policy: how.gone, spec: parsed };
    const wish = { uid, workspace: 'acme', name: 'uploads', desired, ...(how.last ? { last: how.last } : {}) };
    return driveKind(bucketReconciler(client), wish, { now: () => clock.now(), ...how });
  };
  const upload = (key: string): void => {
    const head = `/upload/storage/v1/b/${name}/o`;
    const delivery = door.handle({
      method: 'POST',
      path: head,
      query: `uploadType=media&name=${encodeURIComponent(key)}`,
      headers: { 'content-type': 'text/plain' },
      body: Buffer.from('x'),
    });
    if (delivery.kind !== 'reply' || delivery.response.status !== 200) throw new Error(JSON.stringify(delivery));
  };
  const count = (op: string): number => calls.since(0).calls.filter((call) => call.op === op).length;
  const done = (op: string): number =>
    calls.since(0).calls.filter((call) => call.op === op && /ok$|lose-reply|slow/.test(call.outcome)).length;
  return { clock, advance, model, faults, client, raw, drive, upload, count, done, door, sleep };
}

const members = (policy: JsonObject): string[] =>
  z
    .object({ bindings: z.array(z.object({ members: z.array(z.string()) })) })
    .parse(policy)
    .bindings.flatMap((binding) => binding.members);

describe('a bucket over the cloud in memory', () => {
  it('is created once, and the second look finds nothing to do', async () => {
    const { drive, count } = stage();
    const first = await drive({ lifecycle: [{ deleteAfterDays: 30, prefix: 'tmp/' }], versioning: true });
    expect(first.actions).toEqual(['create']);
    expect(first.facts).toEqual([
      'Created True Created',
      'PolicyApplied True PolicyApplied',
      'PublicAccessAsDeclared True Private',
    ]);
    expect(first.status).toEqual({ external: { name, location: 'northamerica-northeast1' } });
    const second = await drive({ lifecycle: [{ deleteAfterDays: 30, prefix: 'tmp/' }], versioning: true });
    expect(second.actions).toEqual([]);
    expect(count('buckets.insert')).toBe(1);
    expect(count('buckets.patch')).toBe(0);
  });

  it('with everything declared reads back as declared', async () => {
    const { drive } = stage();
    const spec = {
      storageClass: 'NEARLINE',
      versioning: true,
      cors: [
        { origin: ['https://b.example', 'https://a.example'], method: ['PUT', 'GET'], responseHeader: ['X-B', 'X-A'] },
      ],
      lifecycle: [
        { abortMultipartAfterDays: 1 },
        { archiveAfterDays: 90, prefix: 'b/' },
        { deleteAfterDays: 3, prefix: 'a/' },
        { deleteAfterDays: 3, prefix: 'a/' },
      ],
      objectRetention: true,
    };
    expect((await drive(spec)).actions).toEqual(['create']);
    expect((await drive(spec)).actions).toEqual([]);
  });

  it('becomes public and private again, and no grant of the public is left behind', async () => {
    const { drive, raw } = stage();
    expect((await drive({ publicRead: true })).actions).toEqual(['create', 'expose']);
    expect(members(await raw('GET', `/b/${name}/iam`))).toContain('allUsers');
    const closed = await drive({ publicRead: false });
    expect(closed.actions).toEqual(['update', 'conceal']);
    expect(members(await raw('GET', `/b/${name}/iam`))).not.toContain('allUsers');
    expect((await drive({ publicRead: true })).actions).toEqual(['expose']);
  });

  it.each<[string, JsonObject]>([
    ['versioning', { versioning: { enabled: true } }],
    ['a delete rule', { lifecycle: { rule: [{ action: { type: 'Delete' }, condition: { age: 1 } }] } }],
    ['public access prevention', { iamConfiguration: { publicAccessPrevention: 'inherited' } }],
    ['uniform access', { iamConfiguration: { uniformBucketLevelAccess: { enabled: false } } }],
    ['the storage class', { storageClass: 'COLDLINE' }],
    ['CORS', { cors: [{ origin: ['*'], method: ['GET'] }] }],
    ['the workspace label', { labels: { workspace: 'umbrella' } }],
    ['a retention', { retentionPolicy: { retentionPeriod: '5' } }],
  ])('heals when somebody changes %s', async (_what, change) => {
    const { drive, raw } = stage();
    await drive();
    await raw('PATCH', `/b/${name}`, { body: change });
    expect((await drive()).actions).toEqual(['update']);
    expect((await drive()).actions).toEqual([]);
  });

  it('is one bucket after a create whose answer was lost', async () => {
    const { drive, faults, done } = stage();
    faults.add({ provider: 'gcs', op: 'buckets.insert', fault: 'lose-reply', times: 1 });
    const driven = await drive();
    expect(driven.errors.map((error) => error.detail.outcome)).toEqual(['unknown']);
    expect(driven.plan.verdict).toBe('converged');
    expect(done('buckets.insert')).toBe(1);
  });

  it('is not taken for absent by one false look: the name is taken, and the next look finds it ours', async () => {
    const { drive, faults } = stage();
    await drive({ storageClass: 'NEARLINE' });
    faults.add({ provider: 'gcs', op: 'buckets.get', fault: 'false-empty', times: 1 });
    const driven = await drive({ storageClass: 'NEARLINE' });
    expect(driven.actions).toEqual(['create']);
    expect(driven.errors.map((error) => error.detail.reason)).toEqual(['ProviderConflict']);
    expect(driven.plan.verdict).toBe('converged');
  });

  it('once seen is missed by two answers only: the engine must not hear of lost data because one look was false', async () => {
    const { drive, faults, count } = stage();
    const { status } = await drive();
    faults.add({ provider: 'gcs', op: 'buckets.get', fault: 'false-empty', times: 3 });
    const driven = await drive({}, { last: status });
    expect(driven.errors.map((error) => error.detail.providerCode)).toEqual(Array(3).fill('404 but listed'));
    expect(driven.actions).toEqual([]);
    expect(count('buckets.list')).toBe(3);
  });

  it.each(FAULTS.flatMap((fault) => [1, 2, 3].map((seed) => ({ fault, seed }))))(
    'converges through $fault (seed $seed): made once, changed, deleted',
    async ({ fault, seed }) => {
      const { drive, faults, advance, done, client } = stage();
      // A get and a list that both lie cannot be told from the truth: here only the get does.
      const op = fault === 'false-empty' ? 'buckets.get' : '*';
      faults.add({ provider: 'gcs', op, fault, probability: 0.4, times: 12, seed, delayMs: 1_000 });
      const how = { passesMax: 100, afterError: () => advance(2_000), afterWait: () => advance(5_000) };
      await drive({ publicRead: true }, how);
      await drive({ versioning: true }, how);
      expect(done('buckets.insert')).toBeLessThanOrEqual(1);
      const deleted = await drive({ versioning: true }, { ...how, gone: 'Delete' });
      expect(deleted.plan.verdict).toBe('converged');
      expect(faults.list()[0]?.fired).toBeGreaterThan(0);
      faults.list().forEach(({ id }) => faults.remove(id));
      advance(10_000);
      const look = { sure: true, signal: new AbortController().signal };
      expect(await client.look(name, look)).toEqual({ found: 'absent' });
    },
  );

  it('is left alone when a stranger has the name, in another project', async () => {
    const { model, drive, raw, count } = stage();
    model.iam.registerToken({ token: 'stranger', email: 'a@other.example', project: 'other-project' });
    await strangersBucket(model);
    const driven = await drive();
    expect(driven.plan).toMatchObject({ verdict: 'stalled', reason: 'AlreadyExistsUnowned' });
    expect(count('buckets.patch') + count('buckets.delete')).toBe(0);
    expect((await drive({}, { gone: 'Delete' })).plan.verdict).toBe('converged');
    await expect(raw('GET', `/b/${name}`)).rejects.toThrow('does not have storage.buckets.get');
  });

  it('is adopted by its exact name, and released with its objects', async () => {
    const { drive, raw, upload } = stage();
    await raw('POST', '/b', { query: { project: 'vibn-local' }, body: { name, location: 'NORTHAMERICA-NORTHEAST1' } });
    expect((await drive()).plan).toMatchObject({ reason: 'AlreadyExistsUnowned' });
    expect((await drive({ adopt: name })).actions).toEqual(['adopt', 'update']);
    upload('kept.txt');
    expect((await drive({}, { gone: 'Orphan' })).actions).toEqual(['release']);
    expect(await raw('GET', `/b/${name}`)).not.toHaveProperty('labels');
    expect((await drive({}, { gone: 'Delete' })).actions).toEqual([]);
  });

  it('in another region is neither changed nor deleted', async () => {
    const { drive, raw, count } = stage();
    const labels = { 'vibn-uid': uid, workspace: 'acme' };
    await raw('POST', '/b', { query: { project: 'vibn-local' }, body: { name, location: 'US', labels } });
    expect((await drive()).plan).toMatchObject({ reason: 'ResidencyViolation' });
    expect((await drive({}, { gone: 'Delete' })).plan).toMatchObject({ reason: 'ResidencyViolation' });
    expect(count('buckets.patch') + count('buckets.delete')).toBe(0);
  });
});

/** Makes the bucket as another project's owner. */
async function strangersBucket(model: ReturnType<typeof createGcsModel>): Promise<void> {
  const calls = new CallLog(model.clock);
  const door = openGcs(model, { faults: new Faults(), calls, later: () => undefined });
  const ask = inProcessTransport(door, { sleep: () => Promise.resolve(), token: 'stranger' });
  const request = { method: 'POST', path: '/b', query: { project: 'other-project' }, body: { name, location: 'US' } };
  const reply = await ask({ ...request, method: 'POST' }, new AbortController().signal);
  expect(reply.status).toBe(200);
}

describe('deleting a bucket over the cloud in memory', () => {
  it('needs its objects gone, unless it shall be emptied', async () => {
    const { drive, upload, count } = stage();
    await drive();
    upload('a.txt');
    expect((await drive({}, { gone: 'Delete' })).plan).toMatchObject({ verdict: 'stalled', reason: 'NotEmpty' });
    expect(count('objects.delete')).toBe(0);
    expect((await drive({ emptyBeforeDelete: true }, { gone: 'Delete' })).actions).toEqual(['empty', 'delete']);
  });

  it('empties in steps, versions too', async () => {
    const { drive, upload, raw } = stage();
    await drive({ versioning: true });
    for (let index = 0; index < 1_150; index += 1) upload(`o-${index % 600}`);
    const driven = await drive({ emptyBeforeDelete: true, versioning: true }, { gone: 'Delete' });
    expect(driven.actions).toEqual(['empty', 'empty', 'delete']);
    await expect(raw('GET', `/b/${name}`)).rejects.toThrow('does not exist');
  });

  it('waits for a retention and says until when; after it, it goes on', async () => {
    const { drive, upload, advance } = stage();
    const spec = { retention: { days: 1 }, emptyBeforeDelete: true };
    await drive(spec);
    upload('a.txt');
    const waiting = await drive(spec, { gone: 'Delete' });
    expect(waiting.plan).toMatchObject({ verdict: 'stalled', reason: 'RetentionUntil' });
    expect(waiting.plan).toHaveProperty('message', expect.stringContaining('2026-11-21T08:00:00.000Z'));
    advance(86_400_000);
    expect((await drive(spec, { gone: 'Delete' })).actions).toEqual(['empty', 'delete']);
  });

  it('is not fooled by an old list without its objects: the provider refuses, and the next look tells', async () => {
    const { drive, upload, faults, advance } = stage();
    await drive();
    advance(10_000);
    upload('a.txt');
    advance(1);
    faults.add({ provider: 'gcs', op: 'objects.list', fault: 'stale', delayMs: 5_000, times: 1 });
    const driven = await drive({}, { gone: 'Delete' });
    expect(driven.errors.map((error) => error.detail.providerCode)).toEqual(['409 conflict']);
    expect(driven.plan).toMatchObject({ reason: 'NotEmpty' });
  });
});

describe('deleting an object over the cloud in memory', () => {
  const remove = (scene: ReturnType<typeof stage>, spec: JsonObject, drive: Drive = {}) => {
    const desired = { state: 'present', spec: objectDeletion.spec.parse({ bucket: 'uploads', ...spec }) } as const;
    const rows = { 'Bucket/uploads': { external: { name } } };
    const wish = { uid: 'u2', workspace: 'acme', name: 'del-1', desired };
    return driveKind(objectDeletionReconciler(scene.client), wish, { now: () => scene.clock.now(), rows, ...drive });
  };

  it('deletes that object alone, once, and a missing one is done', async () => {
    const scene = stage();
    await scene.drive();
    scene.upload('a/b ö.txt');
    scene.upload('c.txt');
    expect((await remove(scene, { name: 'a/b ö.txt' })).facts).toEqual(['Deleted True Deleted']);
    expect((await remove(scene, { name: 'a/b ö.txt' })).actions).toEqual([]);
    const page = await scene.client.objects(name, { limit: 10 }, new AbortController().signal);
    expect(page?.objects.map((object) => object.key)).toEqual(['c.txt']);
  });

  it('is one deletion when its answer is lost', async () => {
    const scene = stage();
    await scene.drive();
    scene.upload('a.txt');
    scene.faults.add({ provider: 'gcs', op: 'objects.delete', fault: 'lose-reply', times: 1 });
    expect((await remove(scene, { name: 'a.txt' })).actions).toEqual(['delete-object']);
  });

  it('touches nothing before the bucket is known to be ours', async () => {
    const scene = stage();
    await scene.drive();
    scene.upload('a.txt');
    expect((await remove(scene, { name: 'a.txt' }, { rows: { 'Bucket/uploads': {} } })).plan).toMatchObject({
      verdict: 'wait',
      reason: 'DependencyNotReady',
    });
    expect(scene.count('objects.delete')).toBe(0);
  });

  it('waits for a retention', async () => {
    const scene = stage();
    await scene.drive({ retention: { days: 2 } });
    scene.upload('a.txt');
    expect((await remove(scene, { name: 'a.txt' })).plan).toMatchObject({ reason: 'RetentionUntil' });
    scene.advance(2 * 86_400_000);
    expect((await remove(scene, { name: 'a.txt' })).actions).toEqual(['delete-object']);
  });
});
