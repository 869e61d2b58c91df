import { describe, expect, test } from 'vitest';
import { desiredDigest } from './admission.ts';
import type { AdmissionContext } from './admission.ts';
import { admitDelete } from './admit-delete.ts';
import { ApiError } from './errors.ts';
import type { StoredPlan } from './mutation.ts';
import { keyText } from './reference.ts';
import type { ResourceRow } from './resource.ts';
import { agent, makeRow, testKinds } from './testing.ts';

const key = { workspace: 'acme', kind: 'Note', name: 'one' };
const going = makeRow({ generation: 4, deletedAt: 500, deletionPolicy: 'Delete', undoUntil: 2_000 });

function world(row: ResourceRow, plan: StoredPlan | null = null): AdmissionContext {
  const rows = new Map([[keyText(row), row]]);
  const snapshot = { now: 1_000, version: 9, rows, children: [], request: null, plan, counts: {} };
  return { kinds: testKinds, snapshot, principal: agent, uuid: () => 'u' };
}

const plan: StoredPlan = {
  hash: 'h',
  workspace: 'acme',
  ref: key,
  baseGeneration: 4,
  desiredDigest: desiredDigest({ op: 'delete', key, policy: 'Delete' }),
  actions: [{ digest: 'a1', risk: 'guarded' }],
  expiresAt: 5_000,
};

describe('deleting what is being deleted', () => {
  test('with a plan hash approves what came up on the way, in what is left of the same undo window', () => {
    expect(admitDelete(world(going, plan), { key, confirm: 'one', planHash: 'h' })).toMatchObject({
      op: 'delete',
      policy: 'Delete',
      undoForMs: 1_000,
      approved: ['a1'],
      confirmed: true,
    });
  });

  test('without one writes nothing', () => {
    expect(admitDelete(world(going), { key, confirm: 'one' })).toBeNull();
  });

  test('with another policy is refused: an OK would promise that nothing is destroyed', () => {
    const attempt = (): unknown => admitDelete(world(going), { key, confirm: 'one', policy: 'Orphan' });
    expect(attempt).toThrow(ApiError);
    expect(attempt).toThrow('Undelete it, then delete it with policy Orphan');
  });
});
