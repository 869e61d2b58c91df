// The contract on buckets and their policies.

import assert from 'node:assert/strict';
import {
  assertWords,
  field,
  freshName,
  refused,
  sdk,
  withBucket,
  type ContractCase,
  type ContractTarget,
  type Scene,
} from './contract-kit.ts';

export function bucketCases(target: ContractTarget): ContractCase[] {
  return [
    withBucket(target, 'a bucket reads back its location in upper case and the defaults that nobody set', {
      play: readsBackDefaults,
      needs: ['bucket-defaults'],
    }),
    withBucket(target, 'a second create by the same owner is a conflict that says so', conflictsWithItself),
    {
      name: 'a missing bucket is 404 on get and delete, and exists() is false',
      needs: [],
      run: () => missingBucket(target),
    },
    { name: 'a name with capitals is refused as invalid', needs: ['name-rules'], run: () => invalidName(target) },
    {
      name: 'an unknown location is refused as invalid',
      needs: ['location-rules'],
      run: () => invalidLocation(target),
    },
    withBucket(target, 'a patch merges labels, null deletes, and the metageneration moves by one', {
      play: patchMerges,
      needs: ['bucket-patch'],
    }),
    withBucket(target, 'a patch that changes nothing leaves the metageneration alone', {
      play: emptyPatch,
      needs: ['bucket-patch', 'empty-patch'],
    }),
    withBucket(target, 'a stale ifMetagenerationMatch is 412 conditionNotMet and changes nothing', {
      play: staleMetageneration,
      needs: ['bucket-patch'],
    }),
    withBucket(target, 'lifecycle, cors, versioning and retention read back; clearing them removes the keys', {
      play: configurationRoundTrip,
      needs: ['bucket-patch', 'bucket-configuration'],
    }),
    withBucket(target, 'a bad lifecycle rule is refused and nothing is stored', {
      play: badLifecycle,
      needs: ['lifecycle-rules'],
    }),
    withBucket(target, 'a bucket with an object in it cannot be deleted', {
      play: notEmpty,
      needs: ['bucket-emptiness'],
    }),
    withBucket(target, 'a policy is replaced under its etag, and a stale etag is 412', {
      play: policyEtag,
      needs: ['iam-policies'],
    }),
    withBucket(target, 'public members are refused while public access prevention is enforced', {
      play: publicPrevention,
      needs: ['iam-policies', 'public-access-prevention'],
      wishes: {
        iamConfiguration: { uniformBucketLevelAccess: { enabled: true }, publicAccessPrevention: 'enforced' },
      },
    }),
    withBucket(target, 'testPermissions answers what the caller may do', {
      play: testPermissions,
      needs: ['iam-policies'],
    }),
    withBucket(target, 'buckets are listed by prefix', { play: listByPrefix, needs: ['bucket-prefixes'] }),
    withBucket(target, 'a deleted bucket is listed as such and comes back by its generation, with its labels', {
      play: bucketComesBack,
      needs: ['bucket-restore'],
      wishes: { softDeletePolicy: { retentionDurationSeconds: '604800' }, labels: { kept: 'yes' } },
    }),
  ];
}

async function readsBackDefaults({ bucket }: Scene): Promise<void> {
  const [metadata] = await bucket.getMetadata();
  assert.equal(metadata.location, 'NORTHAMERICA-NORTHEAST1');
  assert.equal(field(metadata, 'locationType'), 'region');
  assert.equal(metadata.storageClass, 'STANDARD');
  assert.equal(metadata.metageneration, '1');
  assert.match(String(metadata.generation), /^\d{16}$/);
  assert.match(String(field(metadata, 'projectNumber')), /^\d+$/);
  assert.equal(metadata.iamConfiguration?.publicAccessPrevention, 'inherited');
  assert.equal(metadata.iamConfiguration?.uniformBucketLevelAccess?.enabled, true);
  const lockedMs = Date.parse(String(metadata.iamConfiguration?.uniformBucketLevelAccess?.lockedTime));
  assert.equal(lockedMs - Date.parse(String(metadata.timeCreated)), 90 * 86_400_000);
  for (const absent of ['labels', 'lifecycle', 'cors', 'versioning', 'rpo'])
    assert.equal(field(metadata, absent), undefined, `${absent} must be absent`);
}

async function conflictsWithItself({ storage, bucket, target }: Scene): Promise<void> {
  const error = await refused(storage.createBucket(bucket.name, { location: 'northamerica-northeast1' }), 409);
  const message = /Your previous request to create the named bucket succeeded and you already own it\./;
  assertWords(target, error, { reason: 'conflict', message });
}

async function missingBucket(target: ContractTarget): Promise<void> {
  const bucket = sdk(target).bucket(freshName());
  const error = await refused(bucket.getMetadata(), 404);
  assertWords(target, error, { reason: 'notFound', message: /The specified bucket does not exist\./ });
  await refused(bucket.delete(), 404);
  assert.deepEqual(await bucket.exists(), [false]);
}

async function invalidName(target: ContractTarget): Promise<void> {
  const error = await refused(sdk(target).createBucket('Vibn-Capitals'), 400);
  assertWords(target, error, { reason: 'invalid' });
}

async function invalidLocation(target: ContractTarget): Promise<void> {
  const error = await refused(sdk(target).createBucket(freshName(), { location: 'canada-north9' }), 400);
  assertWords(target, error, { reason: 'invalid' });
}

async function patchMerges({ bucket }: Scene): Promise<void> {
  await bucket.setMetadata({ labels: { a: '1', b: '2' } });
  const [metadata] = await bucket.setMetadata({ labels: { a: null, c: '3' } });
  assert.deepEqual(metadata.labels, { b: '2', c: '3' });
  assert.equal(metadata.metageneration, '3');
}

async function emptyPatch({ bucket }: Scene): Promise<void> {
  const [metadata] = await bucket.setMetadata({});
  assert.equal(metadata.metageneration, '1');
}

async function staleMetageneration({ bucket, target }: Scene): Promise<void> {
  const error = await refused(bucket.setMetadata({ labels: { a: '1' } }, { ifMetagenerationMatch: 7 }), 412);
  assertWords(target, error, { reason: 'conditionNotMet' });
  const [metadata] = await bucket.getMetadata();
  assert.equal(metadata.labels, undefined);
}

async function configurationRoundTrip({ bucket }: Scene): Promise<void> {
  const lifecycle = {
    rule: [{ action: { type: 'Delete' as const }, condition: { age: 30, matchesPrefix: ['tmp/'] } }],
  };
  const cors = [
    { origin: ['https://app.example'], method: ['PUT'], responseHeader: ['Content-Type'], maxAgeSeconds: 3600 },
  ];
  await bucket.setMetadata({
    lifecycle,
    cors,
    versioning: { enabled: true },
    retentionPolicy: { retentionPeriod: '60' },
  });
  const [set] = await bucket.getMetadata();
  assert.deepEqual(set.lifecycle, lifecycle);
  assert.deepEqual(set.cors, cors);
  assert.equal(set.retentionPolicy?.retentionPeriod, '60');
  assert.ok(set.retentionPolicy?.effectiveTime);
  await bucket.setMetadata({ lifecycle: null, cors: [], versioning: { enabled: false }, retentionPolicy: null });
  const [cleared] = await bucket.getMetadata();
  for (const absent of ['lifecycle', 'cors', 'retentionPolicy'])
    assert.equal(field(cleared, absent), undefined, `${absent} must be absent`);
  assert.deepEqual(cleared.versioning, { enabled: false });
}

async function badLifecycle({ bucket }: Scene): Promise<void> {
  await refused(bucket.setMetadata({ lifecycle: { rule: [{ action: { type: 'Delete' }, condition: {} }] } }), 400);
  const [metadata] = await bucket.getMetadata();
  assert.equal(metadata.lifecycle, undefined);
  assert.equal(metadata.metageneration, '1');
}

async function notEmpty({ bucket, target }: Scene): Promise<void> {
  await bucket.file('a').save('x', { resumable: false });
  const error = await refused(bucket.delete(), 409);
  assertWords(target, error, { message: /The bucket you tried to delete is not empty\./ });
}

async function policyEtag({ bucket, target }: Scene): Promise<void> {
  const [policy] = await bucket.iam.getPolicy({ requestedPolicyVersion: 3 });
  assert.ok(policy.bindings.some((binding) => binding.role === 'roles/storage.legacyBucketOwner'));
  policy.bindings.push(
    { role: 'roles/storage.objectViewer', members: ['allUsers'] },
    { role: 'roles/storage.objectViewer', members: [`projectViewer:${target.projectId}`] },
  );
  const [before] = await bucket.getMetadata();
  await bucket.iam.setPolicy(policy);
  const [stored] = await bucket.iam.getPolicy({ requestedPolicyVersion: 3 });
  const viewers = stored.bindings.filter((binding) => binding.role === 'roles/storage.objectViewer');
  assert.equal(viewers.length, 1, 'bindings of one role are merged');
  assert.deepEqual(new Set(viewers[0]?.members), new Set(['allUsers', `projectViewer:${target.projectId}`]));
  assert.notEqual(stored.etag, policy.etag);
  const error = await refused(bucket.iam.setPolicy(policy), 412);
  assertWords(target, error, { reason: 'conditionNotMet' });
  const [after] = await bucket.getMetadata();
  assert.equal(after.metageneration, before.metageneration, 'a policy does not move the metageneration');
}

async function publicPrevention({ bucket }: Scene): Promise<void> {
  const [policy] = await bucket.iam.getPolicy({ requestedPolicyVersion: 3 });
  policy.bindings.push({ role: 'roles/storage.objectViewer', members: ['allUsers'] });
  await refused(bucket.iam.setPolicy(policy), 412);
}

async function testPermissions({ bucket }: Scene): Promise<void> {
  const [permissions] = await bucket.iam.testPermissions(['storage.buckets.get', 'storage.objects.create']);
  assert.deepEqual(permissions, { 'storage.buckets.get': true, 'storage.objects.create': true });
}

async function listByPrefix({ storage, bucket }: Scene): Promise<void> {
  const [buckets] = await storage.getBuckets({ prefix: bucket.name });
  assert.deepEqual(
    buckets.map((found) => found.name),
    [bucket.name],
  );
}

async function bucketComesBack({ storage, bucket, target }: Scene): Promise<void> {
  const generation = String((await bucket.getMetadata())[0].generation);
  await bucket.delete();
  assert.deepEqual(await bucket.exists(), [false]);
  const [gone] = await storage.getBuckets({ softDeleted: true, prefix: bucket.name });
  assert.deepEqual(
    gone.map((one) => [one.name, String(one.metadata.generation)]),
    [[bucket.name, generation]],
  );
  assert.ok(field(gone[0]?.metadata ?? {}, 'hardDeleteTime'));
  const error = await refused(bucket.restore({ generation: '1' }), 404);
  assertWords(target, error, { reason: 'notFound' });
  await bucket.restore({ generation });
  const [back] = await bucket.getMetadata();
  assert.deepEqual([String(back.generation), back.labels], [generation, { kept: 'yes' }]);
}
