import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { bucket } from '#resources/bucket.ts';
import type { JsonObject } from '#resources/json.ts';
import { parseBucket } from '#reconcilers/providers/gcs/replies.ts';
import type { BucketAction } from './actions.ts';
import {
  absent,
  action,
  external,
  full,
  mark,
  observed,
  owners,
  present,
  previewed,
  reading,
  specOf,
  stall,
} from './plan-scene.ts';
import type { World } from './plan-scene.ts';
import { planBucket } from './plan.ts';
import { createBody, markLabels } from './wanted.ts';

const closed = { uniformBucketLevelAccess: { enabled: true } };

describe('a bucket that is wanted', () => {
  it('is created in Montréal with uniform access, our labels and public access prevented', () => {
    const plan = planBucket({ state: 'present', spec: specOf() }, observed());
    expect(action(plan)).toMatchObject({
      type: 'create',
      effect: 'create',
      risk: 'free',
      bucket: 'vibn-ws-acme-uploads',
      objectRetention: false,
      body: {
        name: 'vibn-ws-acme-uploads',
        location: 'NORTHAMERICA-NORTHEAST1',
        storageClass: 'STANDARD',
        labels: { workspace: 'acme', 'vibn-uid': mark.uid },
        iamConfiguration: { uniformBucketLevelAccess: { enabled: true }, publicAccessPrevention: 'enforced' },
      },
    });
  });

  it('is created with everything declared, so that it never exists half configured', () => {
    const spec = specOf({
      versioning: true,
      retention: { days: 2 },
      lifecycle: [{ deleteAfterDays: 30, prefix: 'tmp/' }],
      cors: [{ origin: ['https://app.example'], method: ['PUT', 'GET'] }],
    });
    expect(createBody(external, spec, mark)).toMatchObject({
      versioning: { enabled: true },
      retentionPolicy: { retentionPeriod: '172800' },
      lifecycle: { rule: [{ action: { type: 'Delete' }, condition: { age: 30, matchesPrefix: ['tmp/'] } }] },
      cors: [{ origin: ['https://app.example'], method: ['GET', 'PUT'], responseHeader: [], maxAgeSeconds: 3600 }],
    });
  });

  it('asks approval for the same steps whatever its uid: a plan is asked before the row is born and gets its own', () => {
    const spec = specOf({ publicRead: true, retention: { days: 1, locked: true } });
    const guarded = (uid: string) => {
      const plan = planBucket({ state: 'present', spec }, { ...observed(), uid });
      if (plan.verdict !== 'act') throw new Error(plan.verdict);
      return [...plan.actions, ...(plan.preview ?? [])].filter((step) => step.risk !== 'free');
    };
    expect(guarded('uid-of-the-plan')).toHaveLength(2);
    expect(guarded('uid-of-the-plan')).toEqual(guarded('uid-of-the-row'));
  });

  it('shows at creation which guarded steps will follow: locking the retention, exposing', () => {
    const spec = specOf({ publicRead: true, retention: { days: 1, locked: true } });
    const plan = planBucket({ state: 'present', spec }, observed());
    expect(action(plan).risk).toBe('free');
    expect(previewed(plan)).toEqual(['lock-retention', 'expose']);
  });

  it('can be given a retention of single objects only when it is created', () => {
    const plan = planBucket({ state: 'present', spec: specOf({ objectRetention: true }) }, observed());
    expect(action(plan)).toMatchObject({ type: 'create', objectRetention: true });
  });

  it('is left alone while it is as declared', () => {
    expect(present()).toEqual({ verdict: 'converged' });
  });

  it.each<[string, JsonObject]>([
    ['a storage class', { storageClass: 'QUANTUM' }],
    ['a public access prevention', { iamConfiguration: { ...closed, publicAccessPrevention: 'supervised' } }],
    ['a location', { location: 'MOON-EAST1' }],
    ['a lifecycle action', { lifecycle: { rule: [{ action: { type: 'Teleport' }, condition: { age: 1 } }] } }],
    ['a CORS method', { cors: [{ origin: ['*'], method: ['TELEPORT'], maxAgeSeconds: 3600 }] }],
  ])('is never taken for as declared, nor for gone, when %s is one that nobody knows', (_what, changes) => {
    const body = {
      kind: 'storage#bucket',
      name: external,
      location: 'NORTHAMERICA-NORTHEAST1',
      metageneration: '7',
      labels: markLabels(mark),
      iamConfiguration: { ...closed, publicAccessPrevention: 'enforced' },
      ...changes,
    };
    const seen = parseBucket(body);
    expect(present({ bucket: seen }).verdict).not.toBe('converged');
    expect(absent(null, { bucket: seen }).verdict).not.toBe('converged');
  });

  it('is left alone when only unmanaged things differ: other labels, other bindings', () => {
    const others = { role: 'roles/storage.admin', members: ['user:ops@example.com'], condition: { title: 't' } };
    const labels = { ...markLabels(mark), team: 'web' };
    expect(present({ bucket: { labels }, bindings: [owners, others] })).toEqual({ verdict: 'converged' });
  });

  it.each<[string, World, JsonObject]>([
    ['another storage class', { bucket: { storageClass: 'NEARLINE' } }, { storageClass: 'STANDARD' }],
    ['a lost workspace label', { bucket: { labels: { 'vibn-uid': mark.uid } } }, { labels: { workspace: 'acme' } }],
    [
      'versioning switched off',
      { spec: { versioning: true }, bucket: { versioning: false } },
      { versioning: { enabled: true } },
    ],
    [
      'uniform access switched off',
      { bucket: { uniformAccess: false } },
      { iamConfiguration: { uniformBucketLevelAccess: { enabled: true } } },
    ],
    [
      'public access no longer prevented',
      { bucket: { publicAccessPrevented: false } },
      { iamConfiguration: { publicAccessPrevention: 'enforced' } },
    ],
    [
      'a CORS rule nobody declared',
      { bucket: { cors: [{ origin: ['*'], method: ['GET'], responseHeader: [], maxAgeSeconds: 1 }] } },
      { cors: null },
    ],
    [
      'a rule that deletes although none is declared',
      { bucket: { lifecycle: [{ action: { type: 'Delete' }, condition: { age: 1 } }] } },
      { lifecycle: null },
    ],
    [
      'a retention that is too short',
      { spec: { retention: { days: 3 } }, bucket: { retention: { seconds: 86_400, locked: false } } },
      { retentionPolicy: { retentionPeriod: '259200' } },
    ],
  ])('is put right freely after %s', (_what, world, patch) => {
    expect(action(present(world))).toMatchObject({
      type: 'update',
      risk: 'free',
      patch,
      guard: { metageneration: '7' },
    });
  });

  it('is patched only in what differs, in one patch, with the differences shown', () => {
    const plan = present({ bucket: { storageClass: 'ARCHIVE', uniformAccess: false, publicAccessPrevented: false } });
    expect(action(plan)).toMatchObject({
      patch: {
        storageClass: 'STANDARD',
        iamConfiguration: { uniformBucketLevelAccess: { enabled: true }, publicAccessPrevention: 'enforced' },
      },
    });
    expect(action(plan).changes).toContainEqual({ path: 'spec.storageClass', have: 'ARCHIVE', want: 'STANDARD' });
    expect(action(plan).changes).toHaveLength(3);
  });

  it.each<[string, World]>([
    ['switching versioning off', { bucket: { versioning: true } }],
    [
      'deleting objects by age where nothing was deleted',
      { spec: { lifecycle: [{ deleteAfterDays: 30 }] }, bucket: { lifecycle: [] } },
    ],
    [
      'deleting objects earlier',
      {
        spec: { lifecycle: [{ deleteAfterDays: 10 }] },
        bucket: { lifecycle: [{ action: { type: 'Delete' }, condition: { age: 30 } }] },
      },
    ],
    [
      'deleting under more names',
      {
        spec: { lifecycle: [{ deleteAfterDays: 30 }] },
        bucket: { lifecycle: [{ action: { type: 'Delete' }, condition: { age: 30, matchesPrefix: ['tmp/'] } }] },
      },
    ],
    [
      'deleting without a condition that the present rule has',
      {
        spec: { lifecycle: [{ deleteAfterDays: 30 }] },
        bucket: { lifecycle: [{ action: { type: 'Delete' }, condition: { age: 1, numNewerVersions: 3 } }] },
      },
    ],
    [
      'shortening the retention',
      { spec: { retention: { days: 1 } }, bucket: { retention: { seconds: 864_000, locked: false } } },
    ],
    ['removing the retention', { bucket: { retention: { seconds: 864_000, locked: false } } }],
  ])('needs a guard for %s', (_what, world) => {
    expect(action(present(world))).toMatchObject({ type: 'update', risk: 'guarded' });
  });

  it.each<[string, JsonObject]>([
    ['archiving', { archiveAfterDays: 30 }],
    ['aborting uploads', { abortMultipartAfterDays: 1 }],
  ])('needs no guard for %s by age', (_what, rule) => {
    expect(action(present({ spec: { lifecycle: [rule] }, bucket: { lifecycle: [] } })).risk).toBe('free');
  });

  it('needs no guard to delete later, or less', () => {
    const lifecycle = [{ action: { type: 'Delete' }, condition: { age: 5, matchesPrefix: ['tmp/'] } }];
    const plan = present({ spec: { lifecycle: [{ deleteAfterDays: 9, prefix: 'tmp/old/' }] }, bucket: { lifecycle } });
    expect(action(plan).risk).toBe('free');
  });

  it('takes harmless settings first and shows the guarded ones that follow', () => {
    const plan = present({ bucket: { storageClass: 'ARCHIVE', versioning: true } });
    expect(action(plan)).toMatchObject({ type: 'update', risk: 'free', patch: { storageClass: 'STANDARD' } });
    expect(previewed(plan)).toEqual(['update']);
  });

  it('keeps the same guarded action whatever the metageneration, so that an approval still fits', () => {
    const strip = ({ guard: _guard, changes: _changes, ...rest }: BucketAction) => rest;
    const at = (metageneration: string) => strip(action(present({ bucket: { versioning: true, metageneration } })));
    expect(at('7')).toEqual(at('8'));
  });

  it('is made public in a guarded step of its own', () => {
    const plan = present({ spec: { publicRead: true }, bindings: [owners] });
    expect(action(plan)).toMatchObject({ type: 'expose', risk: 'guarded', guard: { prevented: false } });
  });

  it('lifts public access prevention only when it is to be public', () => {
    const plan = present({ spec: { publicRead: true }, bucket: { publicAccessPrevented: true } });
    expect(action(plan)).toMatchObject({ type: 'expose', guard: { prevented: true, metageneration: '7' } });
  });

  it('is converged when everyone may read, as declared', () => {
    expect(present({ spec: { publicRead: true } })).toEqual({ verdict: 'converged' });
  });

  it('is looked at again while its policy may be read as it was before, where public reading is declared', () => {
    expect(present({ spec: { publicRead: true }, policyLags: true })).toMatchObject({
      verdict: 'wait',
      reason: 'Verifying',
    });
    expect(present({ policyLags: true })).toEqual({ verdict: 'converged' });
  });

  it('takes undeclared reading from the public without asking anyone', () => {
    expect(action(present({ bindings: [owners, reading] }))).toMatchObject({ type: 'conceal', risk: 'free' });
  });

  it('takes from the public what goes beyond declared reading', () => {
    const writing = { role: 'roles/storage.objectAdmin', members: ['allAuthenticatedUsers'], condition: null };
    const plan = present({ spec: { publicRead: true }, bindings: [reading, writing] });
    expect(action(plan)).toMatchObject({ type: 'conceal', publicRead: true });
  });

  it.each([true, false])(
    'looks again when its policy cannot be read, public reading declared or not: %s',
    (publicRead) => {
      expect(present({ spec: { publicRead }, bindings: null })).toMatchObject({ verdict: 'wait', reason: 'Verifying' });
    },
  );

  it('has its retention locked in an irreversible step of its own, after its length is right', () => {
    const spec = { retention: { days: 5, locked: true } };
    const longer = present({ spec, bucket: { retention: { seconds: 86_400, locked: false } } });
    expect(action(longer)).toMatchObject({ type: 'update', risk: 'free' });
    expect(previewed(longer)).toEqual(['lock-retention']);
    const locking = present({ spec, bucket: { retention: { seconds: 432_000, locked: false } } });
    expect(action(locking)).toMatchObject({ type: 'lock-retention', risk: 'irreversible', days: 5 });
  });

  it.each<[string, JsonObject]>([
    ['none', { retention: null }],
    ['a shorter one', { retention: { days: 1, locked: true } }],
    ['an unlocked one', { retention: { days: 30, locked: false } }],
  ])('stalls when %s is declared against a locked retention', (_what, spec) => {
    const plan = present({ spec, bucket: { retention: { seconds: 864_000, locked: true } } });
    expect(stall(plan).reason).toBe('ImmutableFieldChanged');
    expect(stall(plan).remedy[0].call.input).toMatchObject({ patch: { retention: { days: 10, locked: true } } });
  });

  it('may have a locked retention lengthened', () => {
    const spec = { retention: { days: 20, locked: true } };
    expect(action(present({ spec, bucket: { retention: { seconds: 864_000, locked: true } } }))).toMatchObject({
      type: 'update',
      risk: 'free',
    });
  });

  it('stalls when object retention differs, which the provider fixes at creation', () => {
    const plan = present({ spec: { objectRetention: true }, bucket: { objectRetention: false } });
    expect(stall(plan).reason).toBe('ImmutableFieldChanged');
  });
});

describe('plans in general', () => {
  const everyStall = [
    planBucket({ state: 'present', spec: specOf() }, observed({ sight: { found: 'foreign' } })),
    present({ bucket: { labels: {} } }),
    present({ bucket: { location: 'us' } }),
    present({ spec: { objectRetention: true }, bucket: { objectRetention: false } }),
    present({ bucket: { retention: { seconds: 86_400, locked: true } } }),
    absent(full),
    absent({ ...full, retainedUntil: '2027-01-01T00:00:00Z' }, { spec: { emptyBeforeDelete: true } }),
  ].map(stall);

  it.each(everyStall)(
    'a stall ($reason) says what happened within 300 characters and offers a call that exists',
    (plan) => {
      expect(Array.from(plan.message).length).toBeLessThanOrEqual(300);
      for (const { call } of plan.remedy) expect(call.proc).toMatch(/^resources\.(patch|apply|delete|undelete)$/);
    },
  );

  it('a renaming remedy is a manifest that its kind accepts', () => {
    const plan = planBucket(
      { state: 'present', spec: specOf({ versioning: true }) },
      observed({ sight: { found: 'foreign' } }),
    );
    const { manifest } = z
      .object({
        manifest: z.looseObject({ metadata: z.object({ name: z.string() }), spec: z.record(z.string(), z.json()) }),
      })
      .parse(stall(plan).remedy[0].call.input);
    expect(manifest.metadata.name).toBe('uploads-2');
    expect(bucket.spec.parse(manifest.spec)).toMatchObject({ versioning: true });
  });
});
