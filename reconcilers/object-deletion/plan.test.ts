import { describe, expect, it } from 'vitest';
import { objectDeletion } from '#resources/object-deletion.ts';
import { planDeletion } from './plan.ts';
import type { DeletionObserved, SeenObject } from './plan.ts';

const spec = objectDeletion.spec.parse({ bucket: 'uploads', name: 'a/b.txt' });
const there: SeenObject = { generation: '12', retainedUntil: null, onHold: false };

function plan(changes: Partial<DeletionObserved>, wanted = spec) {
  return planDeletion(
    { state: 'present', spec: wanted },
    { uid: 'u1', workspace: 'acme', name: 'del-1', bucket: 'vibn-ws-acme-uploads', object: there, ...changes },
  );
}

describe('the deletion of an object', () => {
  it('deletes the object that was seen, which destroys data', () => {
    expect(plan({})).toMatchObject({
      verdict: 'act',
      actions: [
        {
          type: 'delete-object',
          risk: 'guarded',
          destroysData: true,
          bucket: 'vibn-ws-acme-uploads',
          key: 'a/b.txt',
          generation: null,
          guard: { generation: '12' },
        },
      ],
    });
  });

  it('names a generation for ever when the declaration does', () => {
    const wanted = objectDeletion.spec.parse({ bucket: 'uploads', name: 'a/b.txt', generation: '7' });
    expect(plan({ object: { ...there, generation: '7' } }, wanted)).toMatchObject({ actions: [{ generation: '7' }] });
  });

  it('is done when the object is not there', () => {
    expect(plan({ object: null })).toEqual({ verdict: 'converged' });
  });

  it('touches nothing while the bucket is not known to be ours', () => {
    expect(plan({ bucket: null, object: null })).toMatchObject({ verdict: 'wait', reason: 'DependencyNotReady' });
  });

  it('stalls while the object is retained, and says until when', () => {
    const stalled = plan({ object: { ...there, retainedUntil: '2027-01-01T00:00:00Z' } });
    expect(stalled).toMatchObject({ verdict: 'stalled', reason: 'RetentionUntil', clearsOn: ['spec:u1'] });
    expect(stalled).toHaveProperty('message', expect.stringContaining('2027-01-01T00:00:00Z'));
  });

  it('stalls while the object is on hold', () => {
    expect(plan({ object: { ...there, onHold: true } })).toMatchObject({
      verdict: 'stalled',
      reason: 'RetentionUntil',
    });
  });

  it('never deletes under backups/, even if a row that says so got past admission', () => {
    expect(plan({}, { ...spec, name: 'backups/db/1.sql.gz' })).toMatchObject({
      verdict: 'stalled',
      reason: 'SpecInvalid',
    });
  });

  it('asks for nothing once the row itself is being deleted', () => {
    const observed = { uid: 'u1', workspace: 'acme', name: 'del-1', bucket: 'b', object: there };
    expect(planDeletion({ state: 'absent', policy: 'Delete', spec }, observed)).toEqual({ verdict: 'converged' });
  });
});
