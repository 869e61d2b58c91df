// The contract on what keeps objects: retention policies and their lock, holds, the retention of single objects.

import assert from 'node:assert/strict';
import type { Bucket, File } from '@google-cloud/storage';
import {
  assertWords,
  freshName,
  refused,
  sdk,
  withBucket,
  type ContractCase,
  type ContractTarget,
  type Scene,
} from './contract-kit.ts';

export function protectionCases(target: ContractTarget): ContractCase[] {
  const retaining = { retentionPolicy: { retentionPeriod: '3600' } };
  return [
    withBucket(target, 'an object under the bucket\u2019s retention is neither deleted nor overwritten', {
      play: retained,
      needs: ['retention-policies'],
      wishes: retaining,
    }),
    withBucket(target, 'nor is it replaced by a compose or a rewrite; its metadata may change', {
      play: retainedCopies,
      needs: ['retention-policies', 'copies'],
      wishes: retaining,
    }),
    withBucket(target, 'a locked retention policy can be lengthened, never shortened or removed', {
      play: lockedRetention,
      needs: ['retention-locks'],
    }),
    withBucket(target, 'a retention policy is locked under its present metageneration only', {
      play: lockConditions,
      needs: ['retention-locks'],
    }),
    withBucket(target, 'a temporary hold keeps an object until it is released', {
      play: (scene) => held(scene, 'temporaryHold'),
      needs: ['holds'],
    }),
    withBucket(target, 'an event-based hold keeps an object until it is released', {
      play: (scene) => held(scene, 'eventBasedHold'),
      needs: ['holds'],
    }),
    withBucket(target, 'a bucket\u2019s default event-based hold is on each new object, and on none before it', {
      play: defaultHold,
      needs: ['holds'],
    }),
    {
      name: 'an Unlocked retention of one object is shortened or removed by override alone',
      needs: ['object-retention'],
      run: () => withObjectRetention(target, unlocked),
    },
    {
      name: 'a Locked retention of one object can be lengthened, whatever the override says',
      needs: ['object-retention'],
      run: () => withObjectRetention(target, locked),
    },
    withBucket(target, 'the retention of one object needs a bucket made for it', {
      play: notEnabled,
      needs: ['object-retention'],
    }),
  ];
}

const inSeconds = (seconds: number): string => new Date(Date.now() + seconds * 1_000).toISOString();
const write = (bucket: Bucket, name: string, content = '1'): Promise<void> =>
  bucket.file(name).save(content, { resumable: false });

async function isKept(file: File): Promise<void> {
  await refused(file.delete(), 403);
  await refused(file.save('2', { resumable: false }), 403);
  assert.equal((await file.download())[0].toString(), '1');
}

async function retained({ bucket, target }: Scene): Promise<void> {
  const file = bucket.file('kept');
  await write(bucket, 'kept');
  const error = await refused(file.delete(), 403);
  assertWords(target, error, { reason: 'retentionPolicyNotMet' });
  await isKept(file);
  assert.ok((await file.getMetadata())[0].retentionExpirationTime);
  await bucket.setMetadata({ retentionPolicy: null });
  await file.delete();
}

async function retainedCopies({ bucket }: Scene): Promise<void> {
  await write(bucket, 'kept');
  await write(bucket, 'other', '2');
  await refused(bucket.combine(['other', 'kept'], 'kept'), 403);
  await refused(bucket.file('other').copy(bucket.file('kept')), 403);
  await bucket.file('kept').setMetadata({ metadata: { k: 'v' } });
  await bucket.file('kept').copy(bucket.file('copy'));
  assert.equal((await bucket.file('kept').download())[0].toString(), '1');
  await bucket.setMetadata({ retentionPolicy: null });
}

async function lockedRetention({ bucket }: Scene): Promise<void> {
  const [metadata] = await bucket.setMetadata({ retentionPolicy: { retentionPeriod: '2' } });
  await bucket.lock(String(metadata.metageneration));
  const [locked] = await bucket.getMetadata();
  assert.equal(locked.retentionPolicy?.isLocked, true);
  await refused(bucket.setMetadata({ retentionPolicy: { retentionPeriod: '1' } }), 403);
  await refused(bucket.setMetadata({ retentionPolicy: null }), 403);
  const [longer] = await bucket.setMetadata({ retentionPolicy: { retentionPeriod: '3' } });
  assert.equal(longer.retentionPolicy?.retentionPeriod, '3');
}

async function lockConditions({ bucket, target }: Scene): Promise<void> {
  const [metadata] = await bucket.setMetadata({ retentionPolicy: { retentionPeriod: '2' } });
  const error = await refused(bucket.lock(`${Number(metadata.metageneration) + 5}`), 412);
  assertWords(target, error, { reason: 'conditionNotMet' });
  const url = `${target.endpoint}/storage/v1/b/${bucket.name}/lockRetentionPolicy`;
  assert.equal((await fetch(url, { method: 'POST' })).status, 400);
  assert.notEqual((await bucket.getMetadata())[0].retentionPolicy?.isLocked, true);
}

async function held({ bucket }: Scene, hold: 'temporaryHold' | 'eventBasedHold'): Promise<void> {
  await write(bucket, 'held');
  await write(bucket, 'other', '2');
  const file = bucket.file('held');
  const [metadata] = await file.setMetadata({ [hold]: true });
  assert.equal(metadata[hold], true);
  await isKept(file);
  await refused(bucket.file('other').copy(bucket.file('held')), 403);
  await file.setMetadata({ [hold]: false });
  await file.delete();
}

async function defaultHold({ bucket }: Scene): Promise<void> {
  await write(bucket, 'before');
  await bucket.setMetadata({ defaultEventBasedHold: true });
  await write(bucket, 'after');
  assert.equal((await bucket.file('before').getMetadata())[0].eventBasedHold ?? false, false);
  assert.equal((await bucket.file('after').getMetadata())[0].eventBasedHold, true);
  await isKept(bucket.file('after'));
  await bucket.file('after').setMetadata({ eventBasedHold: false });
}

/** A bucket that was made for the retention of single objects. */
async function withObjectRetention(target: ContractTarget, play: (bucket: Bucket) => Promise<void>): Promise<void> {
  const [bucket] = await sdk(target).createBucket(freshName(), {
    location: 'northamerica-northeast1',
    enableObjectRetention: true,
    iamConfiguration: { uniformBucketLevelAccess: { enabled: true } },
    ...(target.lacks.has('soft-delete-off') ? {} : { softDeletePolicy: { retentionDurationSeconds: '0' } }),
  });
  await play(bucket);
}

async function unlocked(bucket: Bucket): Promise<void> {
  await write(bucket, 'a');
  const file = bucket.file('a');
  const [set] = await file.setMetadata({ retention: { mode: 'Unlocked', retainUntilTime: inSeconds(3_600) } });
  assert.equal(set.retention?.mode, 'Unlocked');
  await isKept(file);
  const sooner = { retention: { mode: 'Unlocked', retainUntilTime: inSeconds(1_800) } };
  await refused(file.setMetadata(sooner), 403);
  await file.setMetadata(sooner, { overrideUnlockedRetention: true });
  await isKept(file);
  await refused(file.setMetadata({ retention: null }), 403);
  await file.setMetadata({ retention: null }, { overrideUnlockedRetention: true });
  await file.delete();
  await bucket.delete();
}

/** Leaves its bucket behind for the ten seconds that a lock holds: nothing takes it back. */
async function locked(bucket: Bucket): Promise<void> {
  await write(bucket, 'a');
  const file = bucket.file('a');
  await file.setMetadata({ retention: { mode: 'Locked', retainUntilTime: inSeconds(5) } });
  await isKept(file);
  await refused(file.setMetadata({ retention: null }, { overrideUnlockedRetention: true }), 403);
  const sooner = { retention: { mode: 'Locked', retainUntilTime: inSeconds(1) } };
  await refused(file.setMetadata(sooner, { overrideUnlockedRetention: true }), 403);
  await refused(file.setMetadata({ retention: { mode: 'Unlocked', retainUntilTime: inSeconds(60) } }), 403);
  const [longer] = await file.setMetadata({ retention: { mode: 'Locked', retainUntilTime: inSeconds(10) } });
  assert.equal(longer.retention?.mode, 'Locked');
}

async function notEnabled({ bucket }: Scene): Promise<void> {
  await write(bucket, 'a');
  const retention = { mode: 'Unlocked', retainUntilTime: inSeconds(60) };
  await refused(bucket.file('a').setMetadata({ retention }), 400);
}
