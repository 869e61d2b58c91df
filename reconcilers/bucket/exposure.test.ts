import { describe, expect, it } from 'vitest';
import type { PolicyView } from '#reconcilers/providers/gcs/replies.ts';
import { concealed, exposedAs, exposureOf } from './exposure.ts';

const viewer = 'roles/storage.objectViewer';
const policy = (
  ...bindings: readonly [role: string, members: readonly string[], condition?: object][]
): PolicyView => ({
  etag: 'CAE=',
  bindings: bindings.map(([role, members, condition]) => ({
    role,
    members,
    condition: (condition ?? null) as PolicyView['bindings'][number]['condition'],
  })),
});

describe('a policy with public reading as declared', () => {
  it('grants exactly reading to everyone and keeps the bindings and the etag of others', () => {
    const before = policy(['roles/storage.admin', ['user:a@b.c', 'allUsers']], [viewer, ['user:d@e.f']]);
    const after = exposedAs(before, true);
    expect(after.etag).toBe('CAE=');
    expect(after.bindings).toEqual([
      { role: 'roles/storage.admin', members: ['user:a@b.c'], condition: null },
      { role: viewer, members: ['user:d@e.f'], condition: null },
      { role: viewer, members: ['allUsers'], condition: null },
    ]);
    expect(exposureOf(after, true)).toEqual({ reads: true, beyond: [] });
  });

  it('does not grant twice', () => {
    const before = policy([viewer, ['allUsers', 'user:d@e.f']]);
    expect(exposedAs(before, true)).toEqual(before);
  });

  it('does not take reading under a condition for reading', () => {
    const before = policy([viewer, ['allUsers'], { title: 'until noon', expression: 'false' }]);
    expect(exposureOf(before, true)).toEqual({ reads: false, beyond: [`${viewer} allUsers`] });
    expect(exposedAs(before, true).bindings).toEqual([{ role: viewer, members: ['allUsers'], condition: null }]);
  });

  it('grants nothing to the public when it is private, conditions and all, and drops bindings that become empty', () => {
    const before = policy([viewer, ['allUsers', 'allAuthenticatedUsers']], ['r', ['user:a@b.c'], { title: 't' }]);
    expect(exposedAs(before, false).bindings).toEqual([
      { role: 'r', members: ['user:a@b.c'], condition: { title: 't' } },
    ]);
  });
});

describe('concealing', () => {
  it('takes away what goes beyond, and never grants reading that was not there', () => {
    const before = policy(['roles/storage.admin', ['allUsers']]);
    expect(concealed(before, true).bindings).toEqual([]);
    expect(concealed(policy([viewer, ['allUsers']]), true).bindings).toHaveLength(1);
  });
});
