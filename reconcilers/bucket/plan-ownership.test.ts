import { describe, expect, it } from 'vitest';
import {
  absent,
  action,
  empty,
  external,
  full,
  mark,
  observed,
  present,
  previewed,
  remedies,
  specOf,
  stall,
} from './plan-scene.ts';
import { planBucket } from './plan.ts';
import { markLabels } from './wanted.ts';

describe('a bucket that is not ours', () => {
  it('is left alone when a stranger has the name', () => {
    const plan = planBucket({ state: 'present', spec: specOf() }, observed({ sight: { found: 'foreign' } }));
    expect(stall(plan).reason).toBe('AlreadyExistsUnowned');
    expect(remedies(plan)).toEqual(['rename']);
  });

  it('is left alone without our mark, and adopting it is offered by its exact name', () => {
    const plan = present({ bucket: { labels: {} }, seenBefore: false });
    expect(stall(plan).reason).toBe('AlreadyExistsUnowned');
    expect(stall(plan).remedy[0].call).toEqual({
      proc: 'resources.patch',
      input: { workspace: 'acme', kind: 'Bucket', name: 'uploads', patch: { adopt: external } },
    });
  });

  it('is called OwnershipMarkMissing when an earlier pass had seen it as ours', () => {
    expect(stall(present({ bucket: { labels: {} } })).reason).toBe('OwnershipMarkMissing');
  });

  it('gets our mark, and nothing else yet, when the declaration adopts it by its exact name', () => {
    const plan = present({ spec: { adopt: external }, bucket: { labels: {}, storageClass: 'ARCHIVE' } });
    expect(action(plan)).toMatchObject({
      type: 'adopt',
      patch: { labels: markLabels(mark) },
      guard: { metageneration: '7' },
    });
  });

  it('is not adopted by another name than its own', () => {
    const plan = present({ spec: { adopt: 'vibn-ws-acme' }, bucket: { labels: {} } });
    expect(plan.verdict).toBe('stalled');
  });

  it("is never adopted with another workspace's label", () => {
    const plan = present({ spec: { adopt: external }, bucket: { labels: { workspace: 'umbrella' } } });
    expect(stall(plan).reason).toBe('OwnershipMarkMissing');
    expect(remedies(plan)).toEqual(['rename']);
  });

  it('is never adopted outside Canada', () => {
    const plan = present({ spec: { adopt: external }, bucket: { labels: {}, location: 'us' } });
    expect(remedies(plan)).toEqual(['rename']);
  });

  it('is not deleted with the row', () => {
    expect(absent(null, { bucket: { labels: {} } })).toEqual({ verdict: 'converged' });
    const foreign = planBucket(
      { state: 'absent', policy: 'Delete', spec: specOf() },
      observed({ sight: { found: 'foreign' } }),
    );
    expect(foreign).toEqual({ verdict: 'converged' });
  });
});

describe('a bucket of ours in another region', () => {
  it('is never changed', () => {
    const plan = present({ bucket: { location: 'us-east1', storageClass: 'ARCHIVE' } });
    expect(stall(plan).reason).toBe('ResidencyViolation');
  });

  it('is never deleted', () => {
    expect(stall(absent(empty, { bucket: { location: 'us-east1' } })).reason).toBe('ResidencyViolation');
  });

  it('can be released', () => {
    const plan = absent(null, { bucket: { location: 'us-east1' }, policy: 'Orphan' });
    expect(action(plan).type).toBe('release');
  });
});

describe('a bucket that shall go', () => {
  it('is done when it is not there', () => {
    const plan = planBucket({ state: 'absent', policy: 'Delete', spec: specOf() }, observed());
    expect(plan).toEqual({ verdict: 'converged' });
  });

  it('is deleted when empty, at the metageneration seen, without destroying data', () => {
    const plan = absent(empty);
    expect(action(plan)).toMatchObject({
      type: 'delete',
      effect: 'delete',
      risk: 'guarded',
      guard: { metageneration: '7' },
    });
    expect(action(plan).destroysData).toBeUndefined();
  });

  it('is not deleted while it holds objects, and the ways out are named', () => {
    const plan = absent(full);
    expect(stall(plan).reason).toBe('NotEmpty');
    expect(remedies(plan)).toEqual(['undelete', 'empty-before-delete', 'delete-again']);
  });

  it('is emptied first when that is declared, which destroys data, and the deletion is shown', () => {
    const plan = absent(full, { spec: { emptyBeforeDelete: true } });
    expect(action(plan)).toMatchObject({ type: 'empty', destroysData: true, risk: 'guarded', step: 'a.txt#1' });
    expect(previewed(plan)).toEqual(['empty', 'delete']);
  });

  it('counts noncurrent versions as objects', () => {
    const plan = absent({ ...full, first: 'a.txt#1' }, { spec: { versioning: true } });
    expect(stall(plan).reason).toBe('NotEmpty');
  });

  it('waits for the end of a retention, and says when', () => {
    const contents = { ...full, retainedUntil: '2027-01-01T00:00:00Z' };
    const plan = absent(contents, { spec: { emptyBeforeDelete: true } });
    expect(stall(plan)).toMatchObject({ reason: 'RetentionUntil', clearsOn: [`spec:${mark.uid}`] });
    expect(stall(plan).message).toContain('2027-01-01T00:00:00Z');
  });

  it('is not emptied past a hold', () => {
    const plan = absent({ ...full, onHold: true }, { spec: { emptyBeforeDelete: true } });
    expect(stall(plan).reason).toBe('RetentionUntil');
  });

  it('is looked at again when its objects could not be listed, never deleted blindly', () => {
    expect(absent(null)).toMatchObject({ verdict: 'wait', reason: 'Verifying' });
  });

  it('only loses our labels when it is orphaned, whatever it holds', () => {
    const plan = absent(full, { policy: 'Orphan' });
    expect(action(plan)).toMatchObject({
      type: 'release',
      effect: 'release',
      patch: { labels: { workspace: null, 'vibn-uid': null } },
    });
  });
});
